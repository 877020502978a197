"""Refine the outline of a large object: one button, progress, and the way back."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.panels.forms import button, row, text_line


class RefinePanel(QWidget):  # type: ignore[misc, unused-ignore]
    """Offered while the network saw the object being clicked at a coarse scale.

    Args:
        viewer: The napari viewer.
        controller: Has the object and what refines it.
    """

    def __init__(self, viewer: Any, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self._refining = controller.refining
        self.start_button = button(
            "Refine outline",
            "Draw the outline of this object again at full resolution, tile by tile. Clicks and "
            "Cancel stop it",
            self._refining.start,
        )
        self.back_button = button(
            "Coarse outline",
            "Go back to the outline as it was before refining",
            self._refining.take_back,
        )
        self.cancel_button = button(
            "Cancel", "Stop refining; the outline stays as it was", self._refining.cancel
        )
        self.progress = QProgressBar()
        self.progress.setToolTip("Tiles along the outline that are done")
        self.line = text_line("How finely the network saw the outline")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line)
        layout.addWidget(row(self.start_button, self.back_button))
        layout.addWidget(row(self.progress, self.cancel_button))
        controller.changed.connect(self._show)
        self._refining.progressed.connect(self._on_progress)
        self._show()

    def _on_progress(self, done: int, total: int) -> None:
        self.progress.setRange(0, max(total, 1))
        self.progress.setValue(done)

    def _show(self) -> None:
        refining = self._refining
        is_running = refining.is_running
        if not is_running:
            self._on_progress(0, 1)
        self.start_button.setEnabled(refining.can_start)
        self.back_button.setEnabled(refining.is_refined and not is_running)
        for part in (self.progress, self.cancel_button):
            part.setVisible(is_running)
        self.line.setText(self._words())

    def _words(self) -> str:
        refining, active = self._refining, self._controller.active
        if active is None or active.prediction is None:
            return "Click on a large object first."
        if refining.is_refined:
            return "The outline is at full resolution. Another click starts from the coarse one."
        if refining.is_running:
            return "Refining the outline; it shows when all tiles are done."
        if refining.can_start:
            return f"The network saw {refining.grain_px:.0f} × {refining.grain_px:.0f} px as one."
        return "The network saw this outline finely enough: nothing to refine."

    def close_down(self) -> None:
        """Follow the controller no more."""
        self._controller.changed.disconnect(self._show)
        self._refining.progressed.disconnect(self._on_progress)
