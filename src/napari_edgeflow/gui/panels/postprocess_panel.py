"""Clean-up of masks: of the object being clicked at once, of finished ones by a button."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from napari.utils.notifications import show_warning
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QDoubleSpinBox, QSpinBox, QVBoxLayout, QWidget

from napari_edgeflow._types import MAX_SMOOTH_PX
from napari_edgeflow.annotation.changes import Change
from napari_edgeflow.annotation.cleaning import clean_objects
from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.panels.forms import button, check_box, form_layout, text_line

_MOST_PX = 100_000_000


class PostprocessPanel(QWidget):  # type: ignore[misc, unused-ignore]
    """Fill holes, leave out specks, smooth the outline; threshold and parts are further up.

    The settings hold for the object being clicked and those after it; nothing here runs the
    network.

    Args:
        viewer: The napari viewer.
        controller: Has the settings, the project and the selection.
    """

    def __init__(self, viewer: Any, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self.holes = check_box(
            "Fill holes",
            "Fill the holes of the mask; one with a negative click in it stays",
            lambda is_on: self._set(fill_holes=is_on),
        )
        self._build_sizes()
        self.apply_button = button(
            "Clean up selected objects",
            "Do the same to the finished objects that are selected; Undo takes it back",
            self._on_apply,
        )
        self.line = text_line("What was cleaned up")
        self.line.setVisible(False)
        form = form_layout()
        form.addRow("Smallest part", self.smallest)
        form.addRow("Smooth outline", self.smooth)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.holes)
        layout.addLayout(form)
        layout.addWidget(self.apply_button)
        layout.addWidget(self.line)
        controller.changed.connect(self._refresh)
        controller.selection_changed.connect(self._refresh)
        self._refresh()

    def _build_sizes(self) -> None:
        self.smallest = QSpinBox()
        self.smallest.setRange(0, _MOST_PX)
        self.smallest.setSuffix(" px²")
        self.smallest.setSpecialValueText("any size")
        self.smallest.setToolTip(
            "Parts of the mask with fewer pixels are left out; one with a positive click stays"
        )
        self.smooth = QDoubleSpinBox()
        self.smooth.setRange(0.0, MAX_SMOOTH_PX)
        self.smooth.setDecimals(1)
        self.smooth.setSingleStep(0.5)
        self.smooth.setSuffix(" px")
        self.smooth.setSpecialValueText("as it is")
        self.smooth.setToolTip(
            "Radius in pixels of the disk that smooths the outline: spikes and notches narrower "
            "than it go, corners get round"
        )
        for box in (self.smallest, self.smooth):
            box.setMinimumWidth(60)
        self.smallest.valueChanged.connect(lambda area: self._set(min_part_px=int(area)))
        self.smooth.valueChanged.connect(lambda radius: self._set(smooth_px=float(radius)))

    def _set(self, **change: Any) -> None:
        self._controller.postprocessing = replace(self._controller.postprocessing, **change)

    def _refresh(self, _selected: object = None) -> None:
        settings = self._controller.postprocessing
        blocked = [QSignalBlocker(box) for box in (self.holes, self.smallest, self.smooth)]
        self.holes.setChecked(settings.fill_holes)
        if self.smallest.value() != settings.min_part_px:
            self.smallest.setValue(min(settings.min_part_px, _MOST_PX))
        if self.smooth.value() != round(settings.smooth_px, 1):
            self.smooth.setValue(settings.smooth_px)
        del blocked
        self.apply_button.setEnabled(bool(self._controller.selected_ids))

    def _on_apply(self) -> None:
        project, ids = self._controller.project, self._controller.selected_ids
        if project is None or not ids:
            show_warning("Select finished objects to clean up first.")
            return
        settings = self._controller.postprocessing
        project.do(lambda state, store: clean_objects(state, store, ids, settings), self._on_done)

    def _on_done(self, change: Change) -> None:
        pairs = [(a, b) for a, b in change.objects.values() if a is not None and b is not None]
        difference = sum(after.area_px - before.area_px for before, after in pairs)
        many = "s" * (len(pairs) != 1)
        self.line.setText(f"Cleaned up {len(pairs)} object{many}: {difference:+d} px.")
        self.line.setVisible(True)

    def close_down(self) -> None:
        """Follow the controller no more."""
        self._controller.changed.disconnect(self._refresh)
        self._controller.selection_changed.disconnect(self._refresh)
