"""The Shapes layer in which outlines are edited, in napari's own way and with the mouse.

Each ring is a closed path of its own: napari has no polygons with holes, and paths leave their
inside free, so that a box can be drawn around corners from anywhere. One layer is made for each
number of axes and kept, empty between edits: napari can crash when a Shapes layer is added after
another one was removed (napari 8471).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Shapes
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_edgeflow.gui.outlines.hits import (
    ScreenFrame,
    corners_in_box,
    find_hit,
    open_ring,
    with_corner,
    without_corners,
)
from napari_edgeflow.gui.outlines.marks import (
    PLACEMENT,
    CornerMarks,
    is_outline_layer,
    new_outline_layer,
    place_like,
    screen_frame,
)
from napari_edgeflow.gui.planes import Plane, layer_shape
from napari_edgeflow.vector.polygons import Ring

_EDGE_PX = 5.0
_LIVE_MS = 40
_MIN_DRAG_PX = 4.0
_EDIT_MODES = ("direct", "select", "vertex_insert", "vertex_remove")
_KEYS = {
    "Control-Z": "undo",
    "Control-Shift-Z": "redo",
    "Control-Y": "redo",
    "Delete": "delete",
    "Backspace": "delete",
}


class OutlineLayer:
    """Shows rings, and says what the user did with them."""

    edited = Signal(list, bool)
    """Rings, one for each that is shown, empty when it is gone; True: the layer shows them."""
    moving = Signal(list)
    """Rings while a corner is dragged."""
    drawn = Signal(object, bool)
    """``(N, 2)`` corners (y, x) of a shape that was drawn; True: it is closed."""
    asked = Signal(str)
    """``"undo"``, ``"redo"`` or ``"apply"``: a key was pressed."""
    chosen_changed = Signal()
    """Other corners are chosen, or none."""
    mode_changed = Signal(str)
    """napari's mode of the layer."""
    refused = Signal(str)
    """Why something was taken back."""
    gone = Signal()
    """The user deleted the layer."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layers: dict[int, Shapes] = {}
        self._image: Any = None
        self._was_active: Any = None
        self._plane: Plane | None = None
        self._keys: tuple[Ring, ...] = ()
        self._chosen: list[tuple[int, int]] = []
        self._marks = CornerMarks(viewer)
        self._is_writing = False
        self._later = _timer(0, self._select_all)
        self._live = _timer(_LIVE_MS, self._say_moving)
        viewer.layers.events.removed.connect(self._on_removed)
        camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
        self._zoom_event = camera.events.zoom
        self._camera = camera
        self._zoom_event.connect(self._on_zoom)

    @property
    def layer(self) -> Shapes | None:
        """The layer of the edit; None between edits."""
        return None if self._plane is None else self._layers.get(len(self._plane.index))

    @property
    def n_chosen(self) -> int:
        """Corners that are chosen."""
        return len(self._chosen)

    # --- from outside ------------------------------------------------------------------------

    def open(self, image: Any, plane: Plane) -> None:
        """Begin an edit on a plane of an image."""
        self._image, self._plane = image, plane
        self._was_active = self._viewer.layers.selection.active
        layer = self._ensure()
        for name in PLACEMENT:
            getattr(image.events, name).connect(self._follow_image)
        self._follow_image()
        layer.visible = True
        self._viewer.layers.selection.active = layer
        layer.mode = "direct"

    def close(self) -> None:
        """End the edit; the layer stays, empty."""
        layer, image = self.layer, self._image
        with suppress(RuntimeError):  # Qt may have ended first
            self._later.stop()
            self._live.stop()
        self._choose([])
        if layer is not None:
            self._write(layer, [], [])
            layer.mode = "pan_zoom"
        if image is not None:
            for name in PLACEMENT:
                getattr(image.events, name).disconnect(self._follow_image)
            back = self._was_active if self._was_active in self._viewer.layers else image
            if back in self._viewer.layers:
                self._viewer.layers.selection.active = back
        self._image = self._plane = self._was_active = None

    def close_down(self) -> None:
        """Let go of the viewer."""
        if self._plane is not None:
            self.close()
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._zoom_event.disconnect(self._on_zoom)
        self._marks.close_down()
        for layer in self._layers.values():
            self._disconnect(layer)

    def show(self, rings: Sequence[Ring], colours: Sequence[str]) -> None:
        """Show these rings, each in its colour."""
        layer = self.layer
        if layer is not None:
            self._choose([])
            self._write(layer, rings, colours)
            self._select_all()

    def draw(self, mode: str) -> None:
        """Switch to a mode of napari's Shapes layers: ``"direct"``, ``"add_line"`` and others."""
        if self.layer is not None:
            self._viewer.layers.selection.active = self.layer
            self.layer.mode = mode

    def read(self) -> list[Ring]:
        """The rings as they are in the layer."""
        layer = self.layer
        if layer is None:
            return []
        return [open_ring(self._yx(data)) for data in layer.data[: len(self._keys)]]

    def delete_chosen(self) -> None:
        """Delete the chosen corners."""
        chosen, rings = self._chosen, self.read()
        if not chosen:
            return
        for number in {ring for ring, _ in chosen}:
            corners = [corner for ring, corner in chosen if ring == number]
            rings[number] = without_corners(rings[number], corners)
        self._choose([])
        self.edited.emit(rings, False)

    # --- the layer ---------------------------------------------------------------------------

    def _ensure(self) -> Shapes:
        """The layer for the image's axes: ours, one left by a widget before us, or a new one."""
        n = len(layer_shape(self._image))
        if n in self._layers:
            return self._layers[n]
        left = [one for one in self._viewer.layers if is_outline_layer(one) and one.ndim == n]
        layer = left[0] if left else new_outline_layer(n, self._image)
        self._layers[n] = layer
        layer.events.data.connect(self._on_data)
        layer.events.set_data.connect(self._on_set_data)
        layer.events.mode.connect(self._on_mode)
        layer.mouse_drag_callbacks.append(self._on_drag)
        layer.mouse_double_click_callbacks.append(self._on_double_click)
        for key, what in _KEYS.items():
            layer.bind_key(key, _key(partial(self._on_key, what)), overwrite=True)
        if not left:
            self._viewer.layers.append(layer)
        return layer

    def _disconnect(self, layer: Shapes) -> None:
        layer.events.data.disconnect(self._on_data)
        layer.events.set_data.disconnect(self._on_set_data)
        layer.events.mode.disconnect(self._on_mode)
        layer.mouse_drag_callbacks.remove(self._on_drag)
        layer.mouse_double_click_callbacks.remove(self._on_double_click)
        for key in (*_KEYS, "Enter"):
            layer.bind_key(key, None)

    def _follow_image(self, _event: Any = None) -> None:
        if self.layer is not None:
            place_like(self.layer, self._image)
        self._marks.follow(self._image)
        self._on_zoom()

    def _write(self, layer: Shapes, rings: Sequence[Ring], colours: Sequence[str]) -> None:
        self._is_writing = True
        try:
            layer.selected_data = set()
            layer.data = []
            self._keys = tuple(rings)
            if rings:
                layer.add(
                    [self._positions(np.concatenate([ring, ring[:1]])) for ring in rings],
                    shape_type=["path"] * len(rings),
                    edge_width=self._edge_width(),
                    edge_color=list(colours),
                    face_color="transparent",
                )
        finally:
            self._is_writing = False

    def _positions(self, yx: Ring) -> npt.NDArray[np.float64]:
        plane = self._here()
        found = [plane.position(float(y), float(x)) for y, x in yx]
        return np.array(found, dtype=np.float64).reshape(len(yx), len(plane.index))

    def _yx(self, positions: npt.NDArray[np.float64]) -> Ring:
        return np.asarray(positions, dtype=np.float64)[:, list(self._here().axes)]

    def _here(self) -> Plane:
        if self._plane is None:
            raise RuntimeError("expected an edit that is open, got none")
        return self._plane

    def _edge_width(self) -> float:
        """In pixels of the image, so that it is ``_EDGE_PX`` wide on the screen."""
        step = abs(float(self._image.scale[-1])) * max(float(self._camera.zoom), 1e-12)
        return _EDGE_PX / max(step, 1e-12)

    def _on_zoom(self, _event: Any = None) -> None:
        if self.layer is not None and self.layer.nshapes:
            self._is_writing = True
            try:
                self.layer.edge_width = self._edge_width()
                self.layer.refresh(extent=False, thumbnail=False)
            finally:
                self._is_writing = False

    def _select_all(self) -> None:
        """Selected rings show their corners, and only those can be dragged."""
        layer = self.layer
        if layer is not None and layer.mode in _EDIT_MODES:
            layer.selected_data = set(range(layer.nshapes))

    def _on_removed(self, event: Any) -> None:
        for n, layer in list(self._layers.items()):
            if event.value is layer:
                was_open = layer is self.layer
                self._disconnect(self._layers.pop(n))
                if was_open:
                    self.gone.emit()

    # --- what the user does ------------------------------------------------------------------

    def _on_data(self, event: Any) -> None:
        layer = self.layer
        if self._is_writing or layer is None:
            return
        action, n = str(getattr(event.action, "value", event.action)), len(self._keys)
        if action == "added" and layer.nshapes > n:
            drawn = np.array(layer.data[-1])
            if not self._is_here(drawn):
                QTimer.singleShot(0, self._refuse_drawn)
                return
            corners = self._yx(drawn)
            is_closed = str(layer.shape_type[-1]) not in ("line", "path")
            # napari is still in the middle of drawing: the layer is written again when it is done
            QTimer.singleShot(0, partial(self._say_drawn, corners, is_closed))
        elif action in ("removed", "changed") and layer.nshapes < n:
            lost = {int(index) for index in event.data_indices}
            rest = iter(self.read())
            rings = [ring[:0] if i in lost else next(rest) for i, ring in enumerate(self._keys)]
            QTimer.singleShot(0, partial(self._say_edited, rings))
        elif action == "changed" and layer.nshapes == n:
            self._live.stop()
            self._choose([])
            self.edited.emit(self.read(), all(map(self._is_here, layer.data)))

    def _is_here(self, positions: npt.NDArray[np.float64]) -> bool:
        """True when all corners are on the plane of the edit."""
        at = [(axis, place) for axis, place in enumerate(self._here().index) if place is not None]
        return all(np.abs(positions[:, axis] - place).max() < 0.5 for axis, place in at)

    def _refuse_drawn(self) -> None:
        if self.layer is not None:
            self.edited.emit(self.read(), False)
            self.refused.emit(f"The outline is on {self._here().name}: draw there.")

    def _say_drawn(self, corners: Ring, is_closed: bool) -> None:
        if self.layer is not None:
            self.drawn.emit(corners, is_closed)

    def _say_edited(self, rings: list[Ring]) -> None:
        if self.layer is not None:
            self.edited.emit(rings, False)

    def _on_set_data(self, _event: Any = None) -> None:
        layer = self.layer
        if self._is_writing or layer is None or layer.nshapes != len(self._keys):
            return
        if layer.mode in _EDIT_MODES and not self._live.isActive():
            self._live.start()

    def _say_moving(self) -> None:
        if self.layer is not None and self.layer.nshapes == len(self._keys):
            self.moving.emit(self.read())

    def _on_mode(self, _event: Any = None) -> None:
        layer = self.layer
        if layer is None:
            return
        is_drawing = str(layer.mode).startswith("add_")
        # while drawing, Enter is napari's own: it ends the shape
        layer.bind_key(
            "Enter", None if is_drawing else _key(partial(self._on_key, "apply")), overwrite=True
        )
        self.mode_changed.emit(str(layer.mode))
        self._later.start()

    def _on_key(self, what: str) -> None:
        if self.layer is None:
            return
        if what == "delete":
            self.delete_chosen()
        else:
            self.asked.emit(what)

    def _cursor(self, event: Any) -> tuple[ScreenFrame, npt.NDArray[np.float64]]:
        displayed = list(event.dims_displayed)
        at = np.asarray(event.position, dtype=np.float64)[displayed] * float(self._camera.zoom)
        zoom = float(self._camera.zoom)
        frame = screen_frame(self._image, self._here(), zoom, displayed, self._viewer.dims.ndim)
        return frame, at

    def _on_double_click(self, layer: Shapes, event: Any) -> None:
        """On a corner: delete it; on an edge: add one there."""
        own = self.layer
        if own is None or own is not layer or own.mode != "direct":
            return
        event.handled = True
        rings = self.read()
        hit = find_hit(rings, *self._cursor(event))
        if hit is None:
            return
        ring = rings[hit.ring]
        is_corner = hit.along is None
        rings[hit.ring] = (
            without_corners(ring, [hit.corner]) if is_corner else with_corner(ring, hit)
        )
        QTimer.singleShot(0, partial(self._say_edited, rings))

    def _on_drag(self, layer: Shapes, event: Any) -> Iterator[None]:
        """A box around corners, drawn from a free place; napari shows it."""
        own = self.layer
        if own is None or own is not layer or own.mode != "direct" or event.button != 1:
            return
        if find_hit(self.read(), *self._cursor(event)) is not None:
            return
        start_px = np.array(event.pos, dtype=float)
        start = self._here().yx(self._image.world_to_data(event.position))
        yield
        while event.type == "mouse_move":
            yield
        is_box = np.linalg.norm(np.asarray(event.pos) - start_px) > _MIN_DRAG_PX
        end = self._here().yx(self._image.world_to_data(event.position))
        self._choose(corners_in_box(self.read(), start, end) if is_box else [])
        self._later.start()

    def _choose(self, chosen: list[tuple[int, int]]) -> None:
        if not chosen and not self._chosen:
            return
        self._chosen = chosen
        rings = self.read()
        places = np.array([rings[ring][corner] for ring, corner in chosen]).reshape(-1, 2)
        self._marks.show(self._image, self._positions(places), len(self._here().index))
        self.chosen_changed.emit()


def _timer(interval_ms: int, on_timeout: Callable[[], object]) -> QTimer:
    timer = QTimer()
    timer.setSingleShot(True)
    timer.setInterval(interval_ms)
    timer.timeout.connect(on_timeout)
    return timer


def _key(action: Callable[[], object]) -> Callable[[Any], None]:
    def run(_layer: Any) -> None:
        action()

    return run
