"""Where steps are saved: on or off, beside the image or in a folder of the user's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_edgeflow.gui.panels.forms import button, check_box, row, text_line


class SavingPanel(QWidget):  # type: ignore[misc, unused-ignore]
    """Choices for autosave; they hold for images that are opened from then on.

    Attributes:
        choose_folder: Asks for a folder; None when the user changed their mind.

    Args:
        viewer: The napari viewer.
        controller: Knows the projects.
    """

    def __init__(self, viewer: Any, controller: Any) -> None:
        super().__init__()
        self._controller = controller
        self.choose_folder: Callable[[], Path | None] = self._ask
        self.on_box = check_box(
            "Save every step",
            "Each click and object goes to disk at once, to IMAGE.edgeflow; holds for images "
            "that are opened from now on",
            self._set_on,
        )
        self.on_box.blockSignals(True)
        with QSignalBlocker(self.on_box):
            self.on_box.setChecked(controller.projects.autosave.is_on)
        self.on_box.blockSignals(False)
        self.folder_button = button(
            "Other folder…", "Save in a folder of your choice instead of beside images", self._other
        )
        self.beside_button = button("Beside the image", "Save beside each image", self._beside)
        self.line = text_line("Where the steps of images opened from now on are saved")
        self.place_line = text_line("The file of this image")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (
            self.on_box,
            row(self.folder_button, self.beside_button),
            self.line,
            self.place_line,
        ):
            layout.addWidget(part)
        controller.changed.connect(self._show)
        self._show()

    def _ask(self) -> Path | None:
        path = QFileDialog.getExistingDirectory(self, "Save the steps of images in a folder")
        return Path(path) if path else None

    def _set_on(self, is_on: bool) -> None:
        self._keep(is_on=is_on)

    def _other(self) -> None:
        folder = self.choose_folder()
        if folder is not None:
            self._keep(folder=folder)

    def _beside(self) -> None:
        self._keep(folder=None)

    def _keep(self, **change: Any) -> None:
        projects = self._controller.projects
        projects.autosave = replace(projects.autosave, **change)
        projects.autosave.remember()
        self._show()

    def _show(self) -> None:
        autosave, project = self._controller.projects.autosave, self._controller.project
        where = f"in {autosave.folder}" if autosave.folder else "beside each image"
        self.line.setText(f"Steps are saved {where}." if autosave.is_on else "Steps are not saved.")
        self.beside_button.setEnabled(autosave.folder is not None)
        place = None if project is None else project.place
        self.place_line.setText("" if place is None else f"This image: {place}")

    def close_down(self) -> None:
        """Follow the controller no more."""
        self._controller.changed.disconnect(self._show)
