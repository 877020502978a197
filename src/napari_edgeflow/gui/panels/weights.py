"""Models from elsewhere: import a checkpoint file, or download a published one."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QFileDialog,
    QMenu,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_edgeflow.gui.messages import in_words
from napari_edgeflow.gui.panels.forms import button, row, text_line
from napari_edgeflow.gui.worker import ShouldStop, Worker
from napari_edgeflow.zoo.catalog import list_models
from napari_edgeflow.zoo.published import PUBLISHED, PublishedFile

if TYPE_CHECKING:
    from napari_edgeflow.zoo.catalog import WeightsInfo
    from napari_edgeflow.zoo.install import Installed

_KEY = "weights"
_STEP_S = 0.1
_FILES = "Checkpoints (*.pth *.pdparams *.safetensors);;All files (*)"


class WeightsPanel(QWidget):  # type: ignore[misc, unused-ignore]
    """Two buttons, and a progress bar while they work.

    It has a thread of its own, so that clicks are answered while a download goes on.

    Attributes:
        choose_file: Asks for a path, "" when the user changed their mind; tests replace it.
    """

    model_added = Signal(object)
    """The ``WeightsInfo`` of a model that can be chosen from now on."""
    _progressed = Signal(object, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.worker = Worker()
        self.choose_file: Callable[[], str] = self._ask_for_file
        self.import_button = button(
            "Import weights…",
            "Make a model of a checkpoint file: RITM (.pth), EdgeFlow and EISeg (.pdparams), or "
            ".safetensors; no code of the file is run",
            self._on_import,
        )
        self.download_button = QPushButton("Download…")
        self.download_button.setToolTip("Download a published checkpoint and make a model of it")
        self.download_button.setMinimumWidth(40)
        self.download_button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.menu = QMenu(self.download_button)
        self.menu.setToolTipsVisible(True)
        self.menu.aboutToShow.connect(self.fill_menu)
        self.download_button.setMenu(self.menu)
        self.progress = QProgressBar()
        self.progress.setToolTip("How much of the file is there")
        self.stop_button = button(
            "Stop", "Stop the download; the next one goes on from there", self.stop
        )
        self.line = text_line("What happens to the weights")
        self._running = row(self.progress, self.stop_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (row(self.import_button, self.download_button), self._running, self.line):
            layout.addWidget(part)
        self._progressed.connect(self._show_progress, Qt.ConnectionType.QueuedConnection)
        self._show_idle("")

    # --- import ----------------------------------------------------------------------------

    def _ask_for_file(self) -> str:
        path, _ = QFileDialog.getOpenFileName(self, "Import weights", "", _FILES)
        return str(path)

    def _on_import(self) -> None:
        path = self.choose_file()
        if path:
            self._show_busy(f"Importing {Path(path).name}…")
            self.worker.submit(
                _KEY, lambda _stop: _import(Path(path)), self._on_imported, self._on_failed
            )

    def _on_imported(self, info: WeightsInfo) -> None:
        self._show_idle(f"Imported as {info.name}.")
        self.model_added.emit(info)

    # --- download --------------------------------------------------------------------------

    def fill_menu(self) -> None:
        """Lists the published files; those that are models already cannot be chosen."""
        present = {info.name for info in list_models()}
        self.menu.clear()
        for item in PUBLISHED:
            size = f", {item.about_bytes / 1e6:.0f} MB" if item.about_bytes else ""
            action = self.menu.addAction(f"{item.name} ({item.licence}{size})")
            action.setToolTip(f"{item.summary}\n{item.url}")
            action.setEnabled(item.name not in present)
            action.triggered.connect(partial(self._on_download, item))

    def _on_download(self, item: PublishedFile, _checked: bool = False) -> None:
        self._show_busy(f"Downloading {item.name}…")
        self.stop_button.setEnabled(True)
        self.worker.submit(
            _KEY,
            lambda stop: _download(item.name, self._progressed.emit, stop),
            self._on_downloaded,
            self._on_failed,
        )

    def _on_downloaded(self, installed: Installed) -> None:
        name = installed.model.name
        self._show_idle(f"Downloaded {name}, {installed.model.licence}.")
        if installed.is_first:
            show_info(
                f"{name}: the file's hash was not yet recorded by this program. It is remembered "
                f"from now on: sha256 {installed.sha256}"
            )
        self.model_added.emit(installed.model)

    def _show_progress(self, done: int, total: int) -> None:
        if self.stop_button.isEnabled():  # what comes after a stop is old
            self.progress.setRange(0, 1000 if total else 0)
            self.progress.setValue(done * 1000 // total if total else 0)

    def stop(self) -> None:
        """Stop the download; what has come is kept for the next one."""
        self.worker.cancel(_KEY)
        self._show_idle("Stopped; the next download goes on from there.")

    # --- both ------------------------------------------------------------------------------

    def _on_failed(self, error: Exception) -> None:
        text = in_words(error)
        self._show_idle("Failed; see the message.")
        show_error(text)

    def _show_busy(self, text: str) -> None:
        self._show(text, is_busy=True)

    def _show_idle(self, text: str) -> None:
        self._show(text, is_busy=False)

    def _show(self, text: str, *, is_busy: bool) -> None:
        self.line.setText(text)
        self.line.setVisible(bool(text))
        self._running.setVisible(is_busy)
        self.progress.setRange(0, 0)
        self.stop_button.setEnabled(False)
        self.import_button.setEnabled(not is_busy)
        self.download_button.setEnabled(not is_busy)

    def close_down(self) -> None:
        """Stop what goes on and let the thread end."""
        self.worker.close()


def _import(path: Path) -> WeightsInfo:
    """The new model; runs in the worker, as it imports torch."""
    from napari_edgeflow.zoo.convert import free_name, import_weights, name_from

    return import_weights(path, free_name(name_from(path)))


def _download(name: str, emit: Callable[[int, int], object], should_stop: ShouldStop) -> Installed:
    """The new model; runs in the worker and reports at most ten times a second."""
    from napari_edgeflow.zoo.install import download_model

    last = [0.0]

    def report(done: int, total: int) -> None:
        now = time.monotonic()
        if now - last[0] >= _STEP_S or done == total:
            last[0] = now
            emit(done, total)

    return download_model(name, progress=report, should_stop=should_stop)
