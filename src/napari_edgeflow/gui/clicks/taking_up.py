"""Finished objects become active ones again: by id, by place, by a label that was picked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from napari.utils.notifications import show_warning

from napari_edgeflow.annotation.changes import Change, State
from napari_edgeflow.annotation.commands import take_up
from napari_edgeflow.errors import RasterError
from napari_edgeflow.gui.clicks.objects import ActiveObject, Binding
from napari_edgeflow.gui.labels.label_view import plane_index, plane_of
from napari_edgeflow.gui.messages import Messages
from napari_edgeflow.gui.planes import Plane, shown_plane

_NOTHING = "Choose the image and the Labels layer of the object first."
_OTHER_FIRST = "Finish or reset the active object first."
_PICK = "Pick the label of the object in the Labels layer first."
_NEAR_PX = 5.0


class TakingUp:
    """Takes objects of a bound image up.

    Args:
        viewer: The napari viewer.
        messages: Where to say why not.
    """

    def __init__(self, viewer: Any, messages: Messages) -> None:
        self._viewer = viewer
        self._messages = messages

    def take_up(self, binding: Binding | None, label: int) -> None:
        """The object with its clicks; from its mask, where they do not tell all of it."""
        project = None if binding is None else binding.project
        if binding is None or project is None:
            self._messages.say(_NOTHING, show_warning)
        elif label < 1:
            self._messages.say(_PICK, show_warning)
        else:
            record = project.state.objects.get(label)
            if record is not None and plane_of(record.plane, binding.image) in binding.objects:
                self._messages.say(_OTHER_FIRST, show_warning)
                return
            project.do(lambda state, _store: take_up(state, label))

    def take_up_at(self, binding: Binding | None, world: Sequence[float]) -> bool:
        """True when there is an object at this place of the world that is taken up now.

        A double click makes a click first: an object that has that one click alone gives way,
        any other is left as it is.
        """
        found = self._object_at(binding, world)
        if binding is None or binding.project is None or found is None:
            return False
        plane, y, x, label = found
        active = binding.objects.get(plane)
        if active is not None and not _is_just_begun(binding, active, y, x):
            return False

        def make(state: State, _store: object) -> Change:
            return take_up(state, label)

        binding.project.do(make)
        return True

    def _object_at(
        self, binding: Binding | None, world: Sequence[float]
    ) -> tuple[Plane, float, float, int] | None:
        """Plane, row, column and id of the finished object there; None when there is none."""
        project = None if binding is None else binding.project
        if binding is None or project is None or not project.is_open:
            return None
        try:
            plane = shown_plane(binding.image, self._viewer.dims)
        except RasterError:
            return None
        y, x = plane.yx(binding.image.world_to_data(world))
        label = project.id_at(y, x, plane_index(plane)) if plane.contains(y, x) else 0
        return (plane, y, x, label) if label in project.state.objects else None


def _is_just_begun(binding: Binding, active: ActiveObject, y: float, x: float) -> bool:
    """True for an object that consists of the first half of a double click."""
    clicks = [logged.click for logged in binding.log.on_plane(active.plane)]
    if active.corrects is not None or active.is_finishing or len(clicks) != 1:
        return False
    (click,) = clicks
    return click.is_positive and max(abs(click.y - y), abs(click.x - x)) <= _NEAR_PX


class DoubleClick:
    """Listens for double clicks on the canvas while the click tool is on.

    As the tool, it acts while the selected layer is in its pan/zoom mode.

    Args:
        viewer: The napari viewer.
        on_double_click: Called with the place in the world.
    """

    def __init__(self, viewer: Any, on_double_click: Callable[[Sequence[float]], object]) -> None:
        self._viewer = viewer
        self._on_double_click = on_double_click

    def activate(self) -> None:
        """Start listening."""
        if self._call not in self._viewer.mouse_double_click_callbacks:
            self._viewer.mouse_double_click_callbacks.append(self._call)

    def deactivate(self) -> None:
        """Stop listening."""
        if self._call in self._viewer.mouse_double_click_callbacks:
            self._viewer.mouse_double_click_callbacks.remove(self._call)

    def _call(self, _viewer: Any, event: Any) -> None:
        active = self._viewer.layers.selection.active
        if active is None or str(getattr(active, "mode", "pan_zoom")) == "pan_zoom":
            self._on_double_click(tuple(event.position))
