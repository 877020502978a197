"""An export that runs: a bar, a Cancel button and a line, and the thread that writes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QProgressBar, QWidget

from napari_edgeflow.errors import Cancelled
from napari_edgeflow.gui.messages import in_words
from napari_edgeflow.gui.panels.forms import button, text_line
from napari_edgeflow.gui.worker import Worker

_STEPS = 1000

Progress = Callable[[float], None]
ShouldStop = Callable[[], bool]


class Report(Protocol):
    """What every export tells at its end."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the format could not hold, in words."""
        ...


class ExportJob(QObject):  # type: ignore[misc, unused-ignore]
    """One export at a time, with progress, Cancel and what came of it.

    Attributes:
        bar: How much is done; hidden while nothing is.
        cancel: The button that stops it; likewise.
        line: What is going on, or what was exported.
        worker: The thread that writes.

    Args:
        parent: The panel, which lays the three out.
        on_busy: Called when an export begins (True) and ends (False).
        told: File or folder of a report, and the line for it.
        cancel_tip: What is left of a file after Cancel.
        line_tip: What the line tells.
        cancelled: What it says after Cancel.
    """

    _progressed = Signal(int)

    def __init__(
        self,
        parent: QWidget,
        on_busy: Callable[[bool], None],
        told: Callable[[Any], tuple[Path, str]],
        *,
        cancel_tip: str,
        line_tip: str,
        cancelled: str,
    ) -> None:
        super().__init__(parent)
        self._on_busy, self._told, self._cancelled = on_busy, told, cancelled
        self._stop = threading.Event()
        self.worker = Worker()
        self.cancel = button("Cancel", cancel_tip, self._on_cancel)
        self.bar = QProgressBar()
        self.bar.setRange(0, _STEPS)
        self.bar.setToolTip("How much of the export is done")
        self.line = text_line(line_tip)
        self._progressed.connect(self.bar.setValue, Qt.ConnectionType.QueuedConnection)
        self._show(False)

    def begin(self, path: Path) -> None:
        """Show that this file or folder is being written; ``run`` or ``fail`` follows."""
        self._stop = threading.Event()
        self._set_busy(True)
        self.line.setText(f"Writing {path.name}…")

    def run(self, write: Callable[[Progress, ShouldStop], Report]) -> None:
        """Write in the thread.

        Args:
            write: Gets a function that takes the share done, 0…1, and one that says whether to
                stop; raises ``Cancelled`` then.
        """
        stop, tell = self._stop, self._teller(self._stop)

        def job(should_stop: ShouldStop) -> Report | None:
            """The report; None when it was cancelled."""
            try:
                return write(tell, lambda: stop.is_set() or should_stop())
            except Cancelled:
                return None

        self.worker.submit("export", job, self._on_done, self.fail)

    def fail(self, error: Exception) -> None:
        """Say that nothing was exported, and why."""
        self._set_busy(False)
        self.line.setText("Nothing was exported; see the message.")
        show_error(in_words(error))

    def close(self) -> None:
        """Let the thread end; a file that is being written is given up."""
        self._stop.set()
        self.worker.close()

    def _teller(self, stop: threading.Event) -> Progress:
        """Tells the bar, from the worker's thread, no more often than it can show."""
        shown = -1

        def tell(share: float) -> None:
            nonlocal shown
            step = int(share * _STEPS)
            if step != shown and not stop.is_set():
                shown = step
                self._progressed.emit(step)

        return tell

    def _on_cancel(self) -> None:
        self._stop.set()
        self.cancel.setEnabled(False)
        self.line.setText("Stopping…")

    def _on_done(self, report: Report | None) -> None:
        self._set_busy(False)
        if report is None:
            self.line.setText(self._cancelled)
            return
        path, text = self._told(report)
        self.line.setText(text)
        if report.notes:
            show_info(f"{path.name} does not hold everything: {'; '.join(report.notes)}")

    def _set_busy(self, is_busy: bool) -> None:
        self._show(is_busy)
        self._on_busy(is_busy)

    def _show(self, is_busy: bool) -> None:
        self.cancel.setEnabled(is_busy)
        self.cancel.setVisible(is_busy)
        self.bar.setVisible(is_busy)
        self.bar.setValue(0)
