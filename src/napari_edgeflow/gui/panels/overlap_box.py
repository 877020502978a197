"""The choice of who keeps the pixels that two objects claim."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QSizePolicy

from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.projects.overlap import ChosenRule

OVERLAP_RULES: tuple[tuple[str, ChosenRule, str], ...] = (
    ("Old ones stay", "old_protected", "A new object gets only pixels that are free"),
    ("New on top", "new_on_top", "A new object takes pixels from others that are not locked"),
    ("Ask", "ask", "Ask each time when a new object lies on others"),
)
"""Title, rule and tooltip."""


def overlap_box(control: Controller) -> QComboBox:
    """A box that sets the controller's rule."""
    box = QComboBox()
    for row, (title, rule, tip) in enumerate(OVERLAP_RULES):
        box.addItem(title, rule)
        box.setItemData(row, tip, Qt.ItemDataRole.ToolTipRole)
    box.setToolTip("Who keeps pixels that a new object and others claim")
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(12)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    box.activated.connect(lambda row: setattr(control, "overlap_rule", OVERLAP_RULES[row][1]))
    return box
