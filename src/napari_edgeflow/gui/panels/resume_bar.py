"""The bar that offers what was saved of an image: resume it, or start anew."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QFrame, QVBoxLayout, QWidget

from napari_edgeflow.gui.panels.forms import button, row, text_line


class ResumeBar(QFrame):  # type: ignore[misc, unused-ignore]
    """Visible while the bound image has an offer.

    Args:
        controller: Knows the project.
        parent: Of the widget.
    """

    def __init__(self, controller: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.line = text_line("What was saved of this image before")
        self.resume_button = button(
            "Resume", "Go on where you left off: objects, classes, clicks, undo", self._resume
        )
        self.anew_button = button(
            "Start anew",
            "Begin without objects; the file with those from before is renamed, not deleted",
            self._start_anew,
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.line)
        layout.addWidget(row(self.resume_button, self.anew_button))
        self.setVisible(False)

    def refresh(self) -> None:
        """Show the offer, or hide."""
        project = self._controller.project
        offer = None if project is None else project.offer
        self.setVisible(offer is not None)
        if offer is not None:
            self.line.setText(f"Resume {offer}?")
            is_free = not project.is_busy
            self.resume_button.setEnabled(is_free)
            self.anew_button.setEnabled(is_free)

    def _resume(self) -> None:
        if self._controller.project is not None:
            self._controller.project.resume()

    def _start_anew(self) -> None:
        if self._controller.project is not None:
            self._controller.project.start_anew()
