"""Buttons and a slider for the outline of an object."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QPushButton, QSlider, QVBoxLayout, QWidget

from napari_edgeflow.gui.outlines.edit import TOLERANCES_PX
from napari_edgeflow.gui.outlines.polygons import PolygonEditor
from napari_edgeflow.gui.outlines.session import Tool
from napari_edgeflow.gui.panels.forms import button, check_box, row, text_line

_START_TIP = (
    "Show the outline of the selected objects in a Shapes layer, to drag its corners; "
    "double click on an edge adds a corner, on a corner deletes it; a box drawn from a free place "
    "chooses corners, Delete removes them"
)
_TOOLS: tuple[tuple[Tool, str, str], ...] = (
    (
        "split",
        "Split",
        "Click a line right through the object and end it with Enter or a double click; the "
        "largest part stays the object, the others become new ones",
    ),
    (
        "cut",
        "Cut out",
        "Click around what does not belong to the object and end with Enter or a double click; "
        "inside the object that leaves a hole",
    ),
    (
        "add",
        "Add area",
        "Click around what belongs to the object too and end with Enter or a double click",
    ),
)


class PolygonPanel(QWidget):  # type: ignore[misc, unused-ignore]
    """Starts an edit of outlines, offers its tools, applies or cancels it.

    Attributes:
        editor: Does the work.
    """

    def __init__(self, viewer: Any, controller: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.editor = PolygonEditor(viewer, controller)
        self._build_actions()
        self._build_slider()
        self._lay_out()
        self.editor.changed.connect(self._refresh)
        self._follow = (controller.changed, controller.selection_changed)
        for signal in self._follow:
            signal.connect(self._refresh)
        self._refresh()

    def _build_actions(self) -> None:
        editor = self.editor
        self.start_button = button("Edit outline", _START_TIP, lambda: editor.start())
        self.apply_button = button(
            "Apply",
            "Give the object the pixels of its outline, as one step that Undo takes back  [Enter]",
            editor.apply,
        )
        self.cancel_button = button(
            "Cancel", "End without changing anything", lambda: editor.cancel()
        )
        self.undo_button = button(
            "Undo edit", "Take back the last step of this edit  [Ctrl-Z]", editor.undo
        )
        self.redo_button = button("Redo edit", "Do it again  [Ctrl-Shift-Z]", editor.redo)
        self.tool_buttons: dict[Tool, QPushButton] = {}
        for tool, text, tip in _TOOLS:
            made = button(text, tip, partial(self._on_tool, tool))
            made.setCheckable(True)
            self.tool_buttons[tool] = made
        self.merge_button = button(
            "Merge",
            "Make the outlines that are shown one object, under the id of the first; select the "
            "objects before you edit their outlines",
            editor.merge,
        )
        self.separate_button = button(
            "Separate", "Make each part of the object an object of its own", editor.separate
        )
        self.square_button = button(
            "Right angles",
            "Give the outline right angles in its main direction, as buildings have",
            editor.square,
        )
        self.delete_button = button(
            "Delete corners",
            "Delete the corners in the box you drew  [Delete]",
            editor.shapes.delete_chosen,
        )
        self.changes_box = check_box(
            "Show what changes",
            "Colour the pixels that applying adds (blue), removes (orange) or gives to another "
            "object (yellow)",
            editor.show_changes,
        )
        self.changes_box.setChecked(True)

    def _build_slider(self) -> None:
        tip = (
            "How far the outline may move to have fewer corners, in pixels; at 0 it follows the "
            "pixels exactly. After an edit by hand it starts from the corners as they are then"
        )
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, len(TOLERANCES_PX) - 1)
        self.slider.setToolTip(tip)
        self.slider.setValue(_step_of(self.editor.tolerance_px))
        self.slider.valueChanged.connect(self._on_slider)
        self.tolerance_label = QLabel()
        self.tolerance_label.setToolTip(tip)
        self.tolerance_label.setMinimumWidth(
            self.tolerance_label.fontMetrics().horizontalAdvance("00.00 px")
        )
        self.corners_label = text_line("Corners of all outlines that are shown")
        self.line = text_line("What is edited, and which pixels applying would change")

    def _lay_out(self) -> None:
        self.tools = QWidget()
        inside = QVBoxLayout(self.tools)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(4)
        caption = QLabel("Tolerance")
        caption.setToolTip(self.slider.toolTip())
        for part in (
            row(self.apply_button, self.cancel_button),
            row(caption, self.slider, self.tolerance_label),
            self.corners_label,
            row(*self.tool_buttons.values()),
            row(self.merge_button, self.separate_button),
            row(self.square_button, self.delete_button),
            row(self.undo_button, self.redo_button),
            self.changes_box,
        ):
            inside.addWidget(part)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for part in (self.start_button, self.tools, self.line):
            layout.addWidget(part)

    def _on_tool(self, tool: Tool) -> None:
        self.editor.arm(None if self.editor.tool == tool else tool)
        self._refresh()

    def _on_slider(self, step: int) -> None:
        self.editor.set_tolerance(TOLERANCES_PX[step])
        self._show_tolerance()

    def _show_tolerance(self) -> None:
        self.tolerance_label.setText(f"{self.editor.tolerance_px:g} px")

    def _refresh(self, _ids: object = None) -> None:
        editor = self.editor
        is_on = editor.is_editing
        sketch = editor.sketch
        ids = self._controller.selected_ids
        self.start_button.setVisible(not is_on)
        self.start_button.setText(
            f"Edit outlines of {len(ids)}" if len(ids) > 1 else "Edit outline"
        )
        self.start_button.setEnabled(self._controller.project is not None and not editor.is_opening)
        self.tools.setVisible(is_on)
        self.undo_button.setEnabled(editor.can_undo)
        self.redo_button.setEnabled(editor.can_redo)
        self.delete_button.setEnabled(editor.shapes.n_chosen > 0)
        if sketch is not None:
            n_parts = sum(len(outline.polygons) for outline in sketch.outlines)
            self.merge_button.setEnabled(len(sketch.outlines) > 1)
            self.separate_button.setEnabled(n_parts > len(sketch.outlines))
        for tool, made in self.tool_buttons.items():
            made.setChecked(editor.tool == tool)
        self.slider.blockSignals(True)
        self.slider.setValue(_step_of(editor.tolerance_px))
        self.slider.blockSignals(False)
        self._show_tolerance()
        self.corners_label.setText(editor.corners_line)
        self.line.setText(editor.status)
        self.line.setVisible(bool(editor.status))

    def close_down(self) -> None:
        """Let go of viewer and controller; an edit that is open ends without being applied."""
        self.editor.changed.disconnect(self._refresh)
        for signal in self._follow:
            signal.disconnect(self._refresh)
        self.editor.close_down()


def _step_of(tolerance_px: float) -> int:
    """The slider's step that is nearest."""
    return min(range(len(TOLERANCES_PX)), key=lambda i: abs(TOLERANCES_PX[i] - tolerance_px))
