"""The Points layers of the clicks, one for each kind, kept in step with the click log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from napari.layers import Points
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_edgeflow._types import ClickKind
from napari_edgeflow.errors import RasterError
from napari_edgeflow.gui.clicks.log import KINDS, ClickLog, LoggedClick
from napari_edgeflow.gui.clicks.preview import like
from napari_edgeflow.gui.clicks.quiet import set_points
from napari_edgeflow.gui.clicks.spare import Spare, place_like
from napari_edgeflow.gui.planes import (
    Plane,
    data_to_world_matrix,
    layer_shape,
    shown_plane,
    visible_side,
)


class _Look(NamedTuple):
    colour: str
    symbol: str


_LOOKS: dict[ClickKind, _Look] = {
    "positive": _Look("#2ecc40", "disc"),
    "negative": _Look("#ff4136", "x"),
    "boundary": _Look("#ffdc00", "diamond"),
}


class ClickLayers:
    """Positive (green discs) and negative (red crosses) Points layers of one image.

    A third layer (yellow diamonds) for clicks on the boundary comes with the models that take
    them.

    What the user does in them in napari's own way is written to the log; what the log
    refuses is taken back in the layers.
    """

    changed = Signal(tuple)
    """Planes whose clicks were added, moved or deleted in the layers."""
    refused = Signal(str)
    """Why a point was taken back."""

    def __init__(self, viewer: Any, image: Any, log: ClickLog, spare: Spare | None = None) -> None:
        self._spare = spare
        self._viewer = viewer
        self._image = image
        self._log = log
        self._is_writing = False
        self._is_closed = False
        self._layers: dict[ClickKind, Points | None] = dict.fromkeys(KINDS)
        self._handlers: dict[ClickKind, Callable[[Any], None]] = {
            kind: partial(self._on_data, kind) for kind in KINDS
        }
        self.takes_boundary = False

    def layer(self, kind: ClickKind) -> Points | None:
        """The layer of this kind, None when it was not made yet or was deleted."""
        return self._layers[kind]

    def ensure(self) -> None:
        """Make the layers that are missing and fill them from the log."""
        for kind in reversed(KINDS):
            is_wanted = kind != "boundary" or self.takes_boundary or bool(self._log.rows(kind))
            if is_wanted and self._layers[kind] is None:
                layer = self._from_spare(kind)
                if layer is None:
                    layer = self._new_layer(kind)
                    self._viewer.layers.append(layer)
                    layer.mode = "pan_zoom"
                self._layers[kind] = layer
                layer.events.data.connect(self._handlers[kind])
        self.write()

    def add(self, kind: ClickKind, position: Sequence[float]) -> None:
        """Add a point, with all that follows when the user adds one in the layer."""
        self.takes_boundary |= kind == "boundary"
        planes = self._add_rows(kind, [position])
        self.ensure()
        if planes:
            self.changed.emit(tuple(planes))

    def remove(self, click: LoggedClick) -> None:
        """Take a point away, with all that follows when the user deletes one in the layer."""
        planes = self._log.remove_rows(click.kind, [self._log.rows(click.kind).index(click)])
        self.ensure()
        self.changed.emit(planes)

    def write(self) -> None:
        """Make the layers show what the log says."""
        for kind, layer in self._layers.items():
            if layer is None or self._is_closed:
                continue
            rows = [click.position for click in self._log.rows(kind)]
            data = np.asarray(rows, dtype=float).reshape(len(rows), layer.ndim)
            if not np.array_equal(data, layer.data):
                self._is_writing = True
                try:
                    set_points(layer, data)
                finally:
                    self._is_writing = False

    def follow_image(self) -> None:
        """Take over the image layer's scale, rotation and the like."""
        for layer in self._layers.values():
            if layer is not None:
                layer.affine = data_to_world_matrix(self._image)

    def forget(self, layer: Any) -> bool:
        """True when ``layer``, which was deleted, was one of these; the clicks are kept."""
        for kind, own in self._layers.items():
            if own is not None and own is layer:
                own.events.data.disconnect(self._handlers[kind])
                self._layers[kind] = None
                return True
        return False

    def close(self) -> None:
        """Let go of the layers; those without points are removed from the viewer."""
        self._is_closed = True
        for layer in list(self._layers.values()):
            if layer is not None:
                self.forget(layer)
                if not len(layer.data) and layer in self._viewer.layers:
                    self._viewer.layers.remove(layer)

    def give_up(self, spare: Spare) -> None:
        """Leave the layers to the next image, without points."""
        for kind, layer in list(self._layers.items()):
            if layer is not None and layer in self._viewer.layers:
                self.forget(layer)
                if len(layer.data):
                    set_points(layer, np.empty((0, layer.ndim)))
                spare.keep(kind, layer)

    def _from_spare(self, kind: ClickKind) -> Points | None:
        n = len(layer_shape(self._image))
        layer: Points | None = None if self._spare is None else self._spare.take(kind, n)
        if layer is not None:
            layer.name = f"{self._image.name} · {kind} clicks"
            place_like(layer, affine=data_to_world_matrix(self._image), **like(self._image))
        return layer

    def _new_layer(self, kind: ClickKind) -> Points:
        n = len(layer_shape(self._image))
        colour, symbol = _LOOKS[kind]
        return Points(
            np.empty((0, n)),
            ndim=n,
            name=f"{self._image.name} · {kind} clicks",
            face_color=colour,
            border_color=colour,  # napari widens borders to the size limits, so no other colour
            symbol=symbol,
            size=10,
            canvas_size_limits=(7, 10),
            affine=data_to_world_matrix(self._image),
            **like(self._image),
        )

    def _on_data(self, kind: ClickKind, event: Any) -> None:
        if self._is_writing or self._is_closed:
            return
        layer = self._layers[kind]
        action = str(getattr(event.action, "value", event.action))
        if layer is None or action not in ("added", "removed", "changed"):
            return
        n_known, n_rows = len(self._log.rows(kind)), len(layer.data)
        rows = sorted(int(i) % max(n_rows, 1) for i in event.data_indices)
        planes: tuple[Plane, ...] = ()
        if action == "removed":
            gone = sorted(int(i) for i in event.data_indices) or range(n_known)
            planes = self._log.remove_rows(kind, gone)
        elif action == "changed" and n_rows == n_known:
            planes = self._move(kind, layer, rows)
        else:
            if action == "changed":
                planes = self._log.remove_rows(kind, range(n_known))
            known = len(self._log.rows(kind))
            planes += tuple(self._add_rows(kind, layer.data[known:]))
        if len(self._log.rows(kind)) != n_rows:
            self._take_back()
        if planes:
            self.changed.emit(tuple(dict.fromkeys(planes)))

    def _move(self, kind: ClickKind, layer: Points, rows: list[int]) -> tuple[Plane, ...]:
        known = self._log.rows(kind)
        inside = [r for r in rows if known[r].plane.contains(*known[r].plane.yx(layer.data[r]))]
        if len(inside) < len(rows):
            self.refused.emit(f"a click must stay on the image {self._image.name}; moved back")
            self._take_back()
        return self._log.move_rows(kind, [(r, layer.data[r]) for r in inside])

    def _add_rows(self, kind: ClickKind, positions: Any) -> list[Plane]:
        planes = []
        for position in positions:
            try:
                plane = self._plane_at(position)
            except RasterError as error:
                self.refused.emit(str(error))
                continue
            y, x = plane.yx(position)
            side = visible_side(self._viewer, self._image, plane)
            self._log.add(kind, plane, plane.position(y, x), side)
            planes.append(plane)
        return planes

    def _plane_at(self, position: Any) -> Plane:
        shown = shown_plane(self._image, self._viewer.dims)
        shape = layer_shape(self._image)
        index = tuple(
            None if at is None else round(float(position[axis]))
            for axis, at in enumerate(shown.index)
        )
        plane = Plane(index, shown.shape)
        if any(at is not None and not 0 <= at < n for at, n in zip(index, shape, strict=True)):
            raise RasterError(
                f"expected a click on a slice of the image {self._image.name}, shape {shape}, "
                f"got {plane.name}; scroll back to the image"
            )
        plane.check_contains(*plane.yx(position), str(self._image.name))
        return plane

    def _take_back(self) -> None:
        """Write the log to the layers once napari has finished with its own event."""
        QTimer.singleShot(0, self._write_later)

    def _write_later(self) -> None:
        if not self._is_closed:
            self.write()
