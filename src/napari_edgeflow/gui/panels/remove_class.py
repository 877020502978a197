"""Asks what becomes of the objects of a class that is removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QLabel,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from napari_edgeflow.annotation.classes import ObjectClass
from napari_edgeflow.gui.panels.swatches import swatch

Fate = int | Literal["delete"]
"""Id of the class that the objects go to, or that they are deleted."""


class RemoveClassDialog(QDialog):  # type: ignore[misc, unused-ignore]
    """Move the objects to another class, or delete them.

    Args:
        gone: The class.
        n_objects: How many objects it has.
        others: Classes that they can go to; not empty.
    """

    def __init__(
        self,
        gone: ObjectClass,
        n_objects: int,
        others: Sequence[ObjectClass],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Remove class")
        many = f"{n_objects} object{'s' * (n_objects != 1)}"
        self.move_button = QRadioButton("Give them another class:")
        self.move_button.setToolTip("The objects stay, with the class chosen below")
        self.move_button.setChecked(True)
        self.box = QComboBox()
        self.box.setToolTip("The class that the objects get")
        for one in others:
            self.box.addItem(swatch(one.color), one.name, one.id)
        self.delete_button = QRadioButton("Delete them")
        self.delete_button.setToolTip("The objects go with the class; Undo brings both back")
        self.move_button.toggled.connect(self.box.setEnabled)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(QLabel(f"What becomes of the {many} of class “{gone.name}”?"))
        for part in (self.move_button, self.box, self.delete_button, buttons):
            layout.addWidget(part)

    @property
    def fate(self) -> Fate:
        """What was chosen."""
        return int(self.box.currentData()) if self.move_button.isChecked() else "delete"


def ask_fate(
    gone: ObjectClass, n_objects: int, others: Sequence[ObjectClass], parent: QWidget | None = None
) -> Fate | None:
    """What the user wants; None when they changed their mind."""
    dialog = RemoveClassDialog(gone, n_objects, others, parent)
    try:
        return dialog.fate if dialog.exec() else None
    finally:
        dialog.deleteLater()
