"""The probable mask of a click under the resting pointer; off until the user asks for it.

It is worked out when nothing else is to be done, dropped when anything happens, and shown as an
outline. A click at the same place then finds its answer ready.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_edgeflow._types import Click, Prediction
from napari_edgeflow.errors import RasterError
from napari_edgeflow.gui.clicks.preview import Look, Preview
from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.input.mouse import ClickTool
from napari_edgeflow.gui.input.shortcuts import in_pan_zoom
from napari_edgeflow.gui.planes import Plane, shown_plane

REST_MS = 150
_AWAY_PX = 3.0
LOOK = Look("under the pointer", "#f0e442", 0.9, 2)


class Hover:
    """Shows what a plain click would give where the pointer rests.

    Attributes:
        changed: It was switched on or off.

    Args:
        viewer: The napari viewer.
        controller: Has the image, and works out the mask.
        tool: The click tool; nothing is shown while it is off.
    """

    changed = Signal(bool)

    def __init__(self, viewer: Any, controller: Controller, tool: ClickTool) -> None:
        self._viewer, self._controller, self._tool = viewer, controller, tool
        self._preview: Preview | None = None
        self._image: Any = None
        self._world: tuple[float, ...] | None = None
        self._moved_at, self._is_timing = 0.0, False
        self._asked: tuple[float, ...] | None = None
        self._is_on = False

    @property
    def is_on(self) -> bool:
        """True while masks are shown under the pointer."""
        return self._is_on

    @is_on.setter
    def is_on(self, value: bool) -> None:
        if value == self._is_on:
            return
        self._is_on = value
        moves, presses = self._viewer.mouse_move_callbacks, self._viewer.mouse_drag_callbacks
        if value:
            moves.append(self._on_move)
            presses.insert(0, self._on_press)
            self._controller.changed.connect(self._on_change)
            self._prepare()
        else:
            moves.remove(self._on_move)
            presses.remove(self._on_press)
            self._controller.changed.disconnect(self._on_change)
            self._drop()
            self._remove_layer()
        self.changed.emit(value)

    def toggle(self) -> None:
        """On when it is off, off when it is on."""
        self.is_on = not self._is_on

    def close(self) -> None:
        """Switch off for good."""
        self.is_on = False
        self.changed.disconnect()

    # --- the pointer -------------------------------------------------------------------------

    def _on_move(self, _viewer: Any, event: Any) -> None:
        self._world = tuple(event.position)
        self._moved_at = time.monotonic()
        if self._asked is not None and self._distance(self._asked) > _AWAY_PX:
            self._drop()
        if not self._is_timing:
            self._is_timing = True
            QTimer.singleShot(REST_MS, self._on_time)

    def _on_time(self) -> None:
        """The pointer rests, or moved meanwhile: then wait for the rest of the time."""
        self._is_timing = False
        left_ms = REST_MS - 1e3 * (time.monotonic() - self._moved_at)
        if self._is_on and left_ms > 1:
            self._is_timing = True
            QTimer.singleShot(int(left_ms) + 1, self._on_time)
        elif self._is_on and self._world is not None and self._asked is None:
            self._ask(self._world)

    def _on_press(self, _viewer: Any, event: Any) -> Iterator[None]:
        """A click or a drag begins: the worker is needed, or the view moves away."""
        self._controller.stop_peeking()
        yield
        while event.type == "mouse_move":
            self._drop()
            yield

    def _distance(self, world: Sequence[float]) -> float:
        """How far the pointer is from a place, in pixels of the screen."""
        here = np.asarray(self._world, dtype=float)
        scene = self._viewer.scene if hasattr(self._viewer, "scene") else self._viewer
        return float(np.linalg.norm(here - world)) * float(scene.camera.zoom)

    # --- the mask ----------------------------------------------------------------------------

    def _ask(self, world: tuple[float, ...]) -> None:
        """Have the mask worked out, unless it is no time for it."""
        image = self._controller.image
        if image is None or not self._tool.is_active or not in_pan_zoom(self._viewer):
            return
        if self._controller.is_busy or self._viewer.dims.ndisplay != 2:
            return
        try:
            plane = shown_plane(image, self._viewer.dims)
        except RasterError:
            return
        y, x = plane.yx(image.world_to_data(world))
        if plane.contains(y, x):
            self._asked = world
            click = Click.of_kind(y, x, self._tool.plain_kind)
            self._controller.peek(plane, click, partial(self._show, world, plane))

    def _show(self, world: tuple[float, ...], plane: Plane, mask: Prediction | None) -> None:
        if self._is_on and self._asked == world and self._preview is not None:
            self._prepare()
            self._preview.show(plane, mask)

    def _on_change(self) -> None:
        """Something happened: what is shown may be wrong."""
        self._prepare()
        self._drop()

    def _drop(self) -> None:
        """Show nothing, and want nothing any more."""
        if self._asked is not None:
            self._asked = None
            self._controller.stop_peeking()
            if self._preview is not None:
                self._preview.clear()

    def _prepare(self) -> None:
        """Have a layer for the image that is clicked on, as napari takes its time to make one."""
        image = self._controller.image
        if image is not self._image:
            self._remove_layer()
            self._image = image
            self._preview = None if image is None else Preview(self._viewer, image, LOOK)
            if self._preview is not None:
                self._preview.ensure()

    def _remove_layer(self) -> None:
        preview, self._preview, self._image = self._preview, None, None
        if preview is not None and preview.layer in self._viewer.layers:
            self._viewer.layers.remove(preview.layer)
