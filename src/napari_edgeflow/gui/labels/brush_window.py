"""Paint in a window of labels that are too large to paint in: an ordinary layer, kept or dropped.

napari cannot paint in lazy pyramids. So the visible part, at most 4096² pixels, is copied into a
Labels layer with all of napari's tools, and what the brush changed becomes one step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Labels as LabelsLayer
from napari.utils.notifications import show_error, show_warning
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.annotation.changes import Change, State
from napari_edgeflow.annotation.objects import PlaneIndex
from napari_edgeflow.annotation.painting import paint
from napari_edgeflow.annotation.store import LabelStore
from napari_edgeflow.errors import EdgeFlowError
from napari_edgeflow.gui.clicks.preview import like
from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.labels.label_view import plane_index
from napari_edgeflow.gui.labels.large_labels import StoreView, view_window
from napari_edgeflow.gui.messages import in_words
from napari_edgeflow.gui.panels.forms import button, row, text_line
from napari_edgeflow.gui.planes import Plane, data_to_world_matrix, shown_plane

MOST_SIDE_PX = 4096
LAYER_NAME = "EdgeFlow painting"


@dataclass(eq=False)
class _Painting:
    """What is being painted, and where it goes."""

    project: Any
    plane: PlaneIndex
    window: Window
    before: AnyArray
    layer: LabelsLayer
    is_keeping: bool = False


class BrushWindow(QWidget):  # type: ignore[misc, unused-ignore]
    """Buttons to paint in the visible part, and to keep or drop it."""

    def __init__(self, viewer: Any, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._controller = viewer, controller
        self._painting: _Painting | None = None
        self._is_reading = False
        self.start_button = button(
            "Paint here",
            "Copy the labels of the visible part, at most 4096 × 4096 px, into a layer that "
            "napari's brush, fill bucket and polygon can edit; for images above that size",
            self.start,
        )
        self.keep_button = button(
            "Keep", "Write what was painted to the objects, as one step that Undo takes back",
            self.keep,
        )  # fmt: skip
        self.drop_button = button("Drop", "Forget what was painted", self.drop)
        self.line = text_line("What is being painted")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self.start_button, row(self.keep_button, self.drop_button), self.line):
            layout.addWidget(part)
        controller.changed.connect(self._refresh)
        viewer.layers.events.removed.connect(self._on_removed)
        self._refresh()

    @property
    def layer(self) -> LabelsLayer | None:
        """The layer that is painted in; None while nothing is painted."""
        return self._painting.layer if self._painting else None

    def start(self) -> None:
        """Copy the visible labels into a layer to paint in."""
        image, project = self._controller.image, self._controller.project
        if self._painting is not None or self._is_reading or image is None or project is None:
            return
        try:
            plane = shown_plane(image, self._viewer.dims)
            window = brush_window(view_window(image), plane.shape)
        except EdgeFlowError as error:
            show_warning(in_words(error))
            return
        self._is_reading = True
        self._refresh()
        index = plane_index(plane)
        project.run(
            lambda history: history.store.read(window, index),
            partial(self._on_read, project, image, plane, window),
            self._on_failed,
        )

    def _on_read(
        self, project: Any, image: Any, plane: Plane, window: Window, labels: AnyArray
    ) -> None:
        self._is_reading = False
        if image not in self._viewer.layers:
            return
        sides = iter(labels.shape)
        shape = tuple(next(sides) if at is None else 1 for at in plane.index)
        layer = LabelsLayer(
            labels.reshape(shape).copy(),
            name=LAYER_NAME,
            translate=plane.position(window.y0, window.x0),
            affine=data_to_world_matrix(image),
            **like(image),
        )
        if project.layer is not None:
            layer.colormap = project.layer.colormap
            project.layer.visible = False
        layer.selected_label = project.next_id
        self._viewer.add_layer(layer)
        layer.mode = "paint"
        self._painting = _Painting(project, plane_index(plane), window, labels, layer)
        self._refresh()

    def keep(self) -> None:
        """Write what was painted, as one step."""
        painting = self._painting
        if painting is None or painting.is_keeping:
            return
        painting.is_keeping = True
        painting.layer.editable = False
        after = np.array(painting.layer.data).reshape(painting.window.shape)
        class_id = self._controller.class_id

        def make(state: State, store: LabelStore) -> Change | None:
            where = painting.window
            return paint(state, store, where, painting.before, after, class_id, painting.plane)

        painting.project.do(make, None, self._on_failed)
        painting.project.run(lambda _history: None, lambda _none: self._finish(), self._on_failed)
        self._refresh()

    def drop(self) -> None:
        """Forget what was painted."""
        painting = self._painting
        if painting is not None and not painting.is_keeping:
            self._finish()

    def _finish(self) -> None:
        painting, self._painting = self._painting, None
        if painting is not None:
            _show_objects(painting)
            if painting.layer in self._viewer.layers:
                self._viewer.layers.remove(painting.layer)
        self._refresh()

    def _on_failed(self, error: Exception) -> None:
        """Nothing was written; the painting stays, to try again."""
        self._is_reading = False
        if self._painting is not None:
            self._painting.is_keeping = False
            self._painting.layer.editable = True
        show_error(in_words(error))
        self._refresh()

    def _on_removed(self, event: Any) -> None:
        painting = self._painting
        if painting is not None and event.value is painting.layer and not painting.is_keeping:
            self._painting = None
            _show_objects(painting)
            self._refresh()

    def _refresh(self) -> None:
        project, painting = self._controller.project, self._painting
        is_large = project is not None and isinstance(project.view, StoreView)
        can_start = project is not None and project.is_open and project.offer is None
        is_idle = painting is None and not self._is_reading
        self.start_button.setEnabled(is_large and can_start and is_idle)
        can_end = painting is not None and not painting.is_keeping
        self.keep_button.setEnabled(can_end)
        self.drop_button.setEnabled(can_end)
        if painting is not None:
            box = painting.window
            text = f"Painting in {box.height} × {box.width} px from row {box.y0}, column {box.x0}."
        elif project is not None and not isinstance(project.view, StoreView):
            text = "This image is small enough to paint in its Labels layer itself."
        else:
            text = "Zoom to where you want to paint."
        self.line.setText(text)

    def close_down(self) -> None:
        """Let go of viewer and controller; a painting stays as an ordinary layer."""
        self._controller.changed.disconnect(self._refresh)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        if self._painting is not None:
            _show_objects(self._painting)


def _show_objects(painting: _Painting) -> None:
    if painting.project.layer is not None:
        painting.project.layer.visible = True


def brush_window(visible: Window | None, shape: tuple[int, int]) -> Window:
    """The part to paint in: what is visible of the image, its middle where that is too large.

    Args:
        visible: What the view covers, level-0; None where it covers nothing.
        shape: (rows, columns) of the image.

    Raises:
        EdgeFlowError: No part of the image is visible.
    """
    inside = None if visible is None else visible.intersect(Window(0, 0, *shape))
    if inside is None:
        raise EdgeFlowError("expected a part of the image on the screen, got none; move the view")
    y0, y1 = _middle(inside.y0, inside.y1)
    x0, x1 = _middle(inside.x0, inside.x1)
    return Window(y0, x0, y1, x1)


def _middle(start: int, stop: int) -> tuple[int, int]:
    spare = max(stop - start - MOST_SIDE_PX, 0)
    return start + spare // 2, start + spare // 2 + min(stop - start, MOST_SIDE_PX)
