"""The dock widget: choose an image, click, and keep the masks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels
from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import QEvent, QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_edgeflow.gui.clicks.taking_up import DoubleClick
from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.input.hand import Hand
from napari_edgeflow.gui.input.redrawing import Redrawing
from napari_edgeflow.gui.labels.brush_window import BrushWindow
from napari_edgeflow.gui.letting_go import LetGo
from napari_edgeflow.gui.panels.bands_panel import BandsPanel
from napari_edgeflow.gui.panels.classes_panel import ClassesPanel
from napari_edgeflow.gui.panels.export_panel import ExportPanel
from napari_edgeflow.gui.panels.finetune_panel import FinetunePanel
from napari_edgeflow.gui.panels.forms import (
    PercentSlider,
    button,
    check_box,
    form_layout,
    row,
    text_line,
)
from napari_edgeflow.gui.panels.help_panel import HelpPanel
from napari_edgeflow.gui.panels.import_panel import ImportPanel
from napari_edgeflow.gui.panels.layer_combo import LayerCombo
from napari_edgeflow.gui.panels.objects_panel import ObjectsPanel
from napari_edgeflow.gui.panels.overlap_box import overlap_box
from napari_edgeflow.gui.panels.polygon_panel import PolygonPanel
from napari_edgeflow.gui.panels.postprocess_panel import PostprocessPanel
from napari_edgeflow.gui.panels.refine_panel import RefinePanel
from napari_edgeflow.gui.panels.resume_bar import ResumeBar
from napari_edgeflow.gui.panels.saving_panel import SavingPanel
from napari_edgeflow.gui.panels.sections import Sections
from napari_edgeflow.gui.panels.series_panel import SeriesPanel
from napari_edgeflow.gui.panels.weights import WeightsPanel

if TYPE_CHECKING:
    from napari.viewer import Viewer

_MARGIN_PX = 6
_NARROWEST_PX = 230
"""All of the panel is seen at this width, with the scroll bar beside it."""


class EdgeFlowWidget(QWidget):  # type: ignore[misc, unused-ignore]
    """Click on an object, get its mask.

    Args:
        napari_viewer: The viewer, given by napari.
        controller: Made here when None; tests give one with fakes.
        models: (name, summary) of the models to choose from; those of the zoo when None.
    """

    def __init__(
        self,
        napari_viewer: Viewer,
        controller: Controller | None = None,
        models: Sequence[tuple[str, str]] | None = None,
    ) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.controller = controller or Controller(napari_viewer)
        self.double_click = DoubleClick(
            napari_viewer,
            lambda world: self.controller.taking_up.take_up_at(self.controller.binding, world),
        )
        self._was_docked = self._is_closed = False
        self.hand = Hand(
            napari_viewer,
            self.controller,
            {
                "tool": lambda: self.tool_button.toggle(),
                "series_next": lambda: self.series_panel.series.next(),
                "series_previous": lambda: self.series_panel.series.previous(),
            },
        )
        self.tool, self.shortcuts = self.hand.tool, self.hand.shortcuts
        self._build_choices(list(models) if models is not None else _zoo_models())
        self._build_actions()
        self._build_lines()
        self._lay_out()
        self.controller.changed.connect(self._refresh)
        self.controller.worker.busy_changed.connect(self._show_busy)
        self._let_go = LetGo(
            self.double_click.deactivate,
            self.image_box.close_down,
            self.labels_box.close_down,
            self.weights.close_down,
            *(panel.close_down for _, panel in self.panels),
            self.hand.close,
            partial(self.controller.changed.disconnect, self._refresh),
            Redrawing(self.viewer, self).close,
            self.controller.close,
        )
        self.destroyed.connect(self._let_go)
        self.image_box.layer_changed.connect(self._on_image)
        self.labels_box.layer_changed.connect(self._on_labels)
        self._on_image(self.image_box.layer)
        if self.model_box.count():
            self._on_model()
            self.controller.load_model()
        self._refresh()

    # --- building --------------------------------------------------------------------------

    def _build_choices(self, models: list[tuple[str, str]]) -> None:
        self.image_box = LayerCombo(
            self.viewer, lambda layer: isinstance(layer, Image), "no image in the viewer"
        )
        self.labels_box = LayerCombo(self.viewer, self._is_target, "new layer", keeps_empty=True)
        self.model_box = QComboBox()
        self.model_box.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.model_box.setMinimumContentsLength(6)
        self.model_box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        for name, summary in models:
            self._add_model(name, summary)
        self.model_box.setToolTip("The network that turns clicks into masks")
        self.model_box.activated.connect(lambda _row: self._on_model(is_chosen=True))
        self.weights = WeightsPanel()
        self.weights.model_added.connect(self._on_new_model)

    def _add_model(self, name: str, summary: str) -> None:
        self.model_box.addItem(name)
        row_added = self.model_box.count() - 1
        self.model_box.setItemData(row_added, summary, Qt.ItemDataRole.ToolTipRole)

    def _build_actions(self) -> None:
        control, hint = self.controller, self.shortcuts.hint
        self.tool_button = QPushButton("Click tool")
        self.tool_button.setCheckable(True)
        self.tool_button.setToolTip(
            "While on: left click on the object, right click (or Ctrl or Alt + left click) beside "
            "it; with models that take it, Shift + left click on its boundary; drags pan and zoom "
            "as always; a double click takes a finished object up again" + hint("tool")
        )
        self.tool_button.toggled.connect(self._on_tool)
        self.next_button = button(
            "Next object",
            "Write the mask to the Labels layer under its id and start the next object"
            + hint("next"),
            control.finish,
        )
        self.undo_button = button(
            "Undo",
            "Take back the last step: a click, an object, an edit of classes or labels"
            + hint("undo"),
            control.undo,
        )
        self.redo_button = button("Redo", "Do it again" + hint("redo"), control.redo)
        self.reset_button = button(
            "Reset",
            "Drop all clicks of this object (Undo brings them back)" + hint("reset"),
            control.reset,
        )
        self.cancel_button = button(
            "Cancel", "Stop the network; clicks without a mask are withdrawn", control.cancel
        )
        self.correct_button = button(
            "Correct selected label",
            "Make the label that is selected in the Labels layer the active object and correct "
            "it with clicks; pick it with the layer's colour picker",
            self._on_correct,
        )
        self.threshold = PercentSlider(
            control.threshold,
            "Probability from which a pixel belongs to the object; lower grows the mask",
            lambda value: setattr(control, "threshold", value),
        )
        self.largest_box = check_box(
            "Clicked parts only",
            "Keep only the connected parts of the mask that hold a positive click",
            lambda is_on: setattr(control, "largest_component", is_on),
        )
        self.largest_box.setChecked(control.largest_component)
        self.overlap_box = overlap_box(control)
        self.resume_bar = ResumeBar(control)
        self.export = ExportPanel(self.viewer, control)
        self.finetune = FinetunePanel(self.viewer, control)
        self.finetune.model_added.connect(self._on_improved)
        # Title and panel of every section; a panel takes viewer and controller and closes down
        self.series_panel = SeriesPanel(self.viewer, control)
        self.panels: list[tuple[str, Any]] = [
            ("Image series", self.series_panel),
            ("Classes", ClassesPanel(self.viewer, control, lambda: self.tool.is_active)),
            ("Objects", ObjectsPanel(self.viewer, control)),
            ("Outlines", PolygonPanel(self.viewer, control)),
            ("Import", ImportPanel(self.viewer, control)),
            ("Bands and overviews", BandsPanel(self.viewer, control)),
            ("Paint in large images", BrushWindow(self.viewer, control)),
            ("Saving", SavingPanel(self.viewer, control)),
            ("Clean up masks", PostprocessPanel(self.viewer, control)),
            ("Refine large objects", RefinePanel(self.viewer, control)),
            ("Keys and mouse", HelpPanel(self.hand)),
            ("Export", self.export),
            ("Improve on my objects", self.finetune),
        ]

    def _build_lines(self) -> None:
        self.object_line = text_line("The object that is clicked, and the id it will get")
        self.device_line = text_line("Model, device and precision that the network runs with")
        self.saved_line = text_line("Where your steps are saved; shown once they are on disk")
        self.status_line = text_line("What happened last")
        self.timings_line = text_line("Milliseconds of the last click, step by step")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(6)
        self.progress.setRange(0, 1)
        self.progress.setToolTip("Moves while the model loads or the network runs")

    def _lay_out(self) -> None:
        form = form_layout()
        form.addRow("Image", self.image_box)
        form.addRow("Model", self.model_box)
        form.addRow(self.weights)
        form.addRow("Labels", self.labels_box)
        form.addRow("Threshold", self.threshold)
        form.addRow("Overlaps", self.overlap_box)
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(_MARGIN_PX, _MARGIN_PX, _MARGIN_PX, _MARGIN_PX)
        layout.setSpacing(6)
        layout.addWidget(self.resume_bar)
        layout.addLayout(form)
        for part in (
            self.largest_box,
            self.tool_button,
            self.next_button,
            row(self.undo_button, self.redo_button),
            row(self.reset_button, self.cancel_button),
            self.correct_button,
            self.progress,
            self.object_line,
            self.status_line,
            self.timings_line,
            self.device_line,
            self.saved_line,
            Sections(self.panels, is_open=("Export",)),
        ):
            layout.addWidget(part)
        layout.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)
        self.setMinimumWidth(_NARROWEST_PX)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    # --- reactions -------------------------------------------------------------------------

    def _is_target(self, layer: Any) -> bool:
        return isinstance(layer, Labels) and not self.controller.is_preview(layer)

    def _on_image(self, image: Any) -> None:
        self.controller.bind(image)
        if self.tool_button.isChecked():
            if image is None:
                self.tool_button.setChecked(False)
            else:
                self.controller.show_layers()

    def _on_labels(self, layer: Any) -> None:
        try:
            self.controller.target = layer
        except ValueError as error:
            show_error(str(error))
            self.labels_box.choose(self.controller.target)

    def _on_model(self, is_chosen: bool = False) -> None:
        self.controller.model = self.model_box.currentText()
        if is_chosen:
            self.controller.load_model()

    def _on_new_model(self, info: Any) -> None:
        """Offer a model that was imported; choose it unless an object is being clicked."""
        if self.model_box.findText(info.name) < 0:
            self._add_model(info.name, info.summary)
        if self.controller.active is None:
            self.model_box.setCurrentIndex(self.model_box.findText(info.name))
            self._on_model(is_chosen=True)

    def _on_improved(self, name: str) -> None:
        """Offer a model that learned from the user's objects."""
        from napari_edgeflow.zoo.catalog import list_models

        for info in list_models():
            if info.name == name:
                self._on_new_model(info)

    def _on_tool(self, is_on: bool) -> None:
        if is_on and self.controller.image is None:
            self.tool_button.setChecked(False)
            show_warning("Open an image first: the click tool needs one.")
        elif is_on:
            self.controller.show_layers()
            self.tool.activate()
            self.double_click.activate()
        else:
            self.double_click.deactivate()
            self.tool.deactivate()

    def _on_correct(self) -> None:
        target = self.controller.target
        self.controller.take_up(int(target.selected_label) if target is not None else 0)

    def _show_busy(self, is_busy: bool) -> None:
        self.progress.setRange(0, 0 if is_busy else 1)
        self.cancel_button.setEnabled(is_busy)

    def _refresh(self) -> None:
        if self._is_closed:
            return
        control = self.controller
        active = control.active
        self._show_steps()
        self.threshold.show_value(control.threshold)
        with QSignalBlocker(self.largest_box):
            self.largest_box.setChecked(control.largest_component)
        self.resume_bar.refresh()
        self.reset_button.setEnabled(active is not None)
        self.next_button.setEnabled(active is not None and not active.is_finishing)
        self.cancel_button.setEnabled(control.worker.is_busy)
        self.correct_button.setEnabled(control.target is not None and control.image is not None)
        if control.image is not None and self.image_box.layer is not control.image:
            self.image_box.choose(control.image)
        if self.labels_box.layer is not control.target:
            self.labels_box.choose(control.target)
        self.object_line.setText(control.object_line)
        self.status_line.setText(control.status)
        self.timings_line.setText(str(control.timings or ""))
        self.device_line.setText(control.device_line)
        project = control.project
        place = project.place if project is not None else None
        self.saved_line.show_text(project.saved_line if project else "", str(place or ""))

    def _show_steps(self) -> None:
        """What undo and redo would do, on their buttons."""
        project = self.controller.project
        for one, name, title in (
            (self.undo_button, "Undo", project.undo_title if project else ""),
            (self.redo_button, "Redo", project.redo_title if project else ""),
        ):
            one.setEnabled(bool(title))
            tip = f"{name}: {title}" if title else f"There is nothing to {name.lower()}"
            one.setToolTip(tip + self.shortcuts.hint(name.lower()))

    # --- end -------------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        """Close down when the dock gives the widget up."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is None and self._was_docked:
                self.close_down()
            self._was_docked = self.parent() is not None
        return bool(super().event(event))

    def closeEvent(self, event: Any) -> None:  # noqa: N802
        """Close down with the window."""
        self.close_down()
        super().closeEvent(event)

    def close_down(self) -> None:
        """Let go of the viewer: mouse, keys, callbacks, thread."""
        if not self._is_closed:
            self._is_closed = True
            self._let_go()
            self.setEnabled(False)
            self.deleteLater()  # on the Qt thread, not wherever Python collects its garbage


def _zoo_models() -> list[tuple[str, str]]:
    from napari_edgeflow.zoo.catalog import list_models

    return [(info.name, info.summary) for info in list_models()]
