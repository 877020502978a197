"""What the controller keeps for one image: its clicks, helper layers and active objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Image

from napari_edgeflow._types import ClickKind, Prediction
from napari_edgeflow.errors import RasterError
from napari_edgeflow.gui.clicks.engine import StartMask, TimingsLike
from napari_edgeflow.gui.clicks.layers import ClickLayers
from napari_edgeflow.gui.clicks.log import ClickLog, Clicks
from napari_edgeflow.gui.clicks.preview import Preview
from napari_edgeflow.gui.clicks.spare import Spare
from napari_edgeflow.gui.planes import Plane, shown_plane

if TYPE_CHECKING:
    from napari_edgeflow.gui.projects.project import Project

_PLACEMENT = ("scale", "translate", "rotate", "shear", "affine")


@dataclass(eq=False)
class ActiveObject:
    """The object that the user is clicking on one plane.

    Attributes:
        id: Names it for the worker; not the id in the Labels layer.
        plane: Where it is.
        field_of_view: What the user saw when it began, level-0 pixels.
        corrects: Id of the committed object that it corrects.
        start: The mask that the clicks correct; None when they make it.
        prediction: The last mask.
        predicted_clicks: The clicks that gave this mask; None before the first.
        is_pending: The worker owes an answer.
        is_finishing: It is being committed.
        class_id: Class that it gets.
        waiting: Clicks that came meanwhile: they belong to the next object.
    """

    id: int
    plane: Plane
    field_of_view: float
    corrects: int | None = None
    start: StartMask | None = None
    prediction: Prediction | None = None
    predicted_clicks: Clicks | None = None
    is_pending: bool = False
    is_finishing: bool = False
    class_id: int = 1
    waiting: list[tuple[tuple[float, ...], ClickKind]] = field(default_factory=list)

    def in_words(self, next_id: int) -> str:
        """Which object it is; ``next_id`` is what a new one would get."""
        if self.corrects is not None:
            return f"Correcting object {self.corrects} on {self.plane.name}"
        return f"Object {next_id} on {self.plane.name}"

    def stop(self) -> str:
        """Forget what was going on; says how many clicks were not added."""
        self.is_pending = self.is_finishing = False
        n, self.waiting = len(self.waiting), []
        return f" ({n} later click{'s were' if n > 1 else ' was'} not added)" if n else ""


@dataclass(frozen=True, slots=True)
class ClickTimings:
    """Milliseconds of the last click, from reading to the preview on the screen."""

    read_ms: float
    network_ms: float
    post_ms: float
    layer_ms: float

    @classmethod
    def of(cls, timings: TimingsLike, layer_s: float) -> ClickTimings:
        """From the session's seconds and those of the layer update."""
        seconds = (timings.read_s, timings.network_s, timings.post_s, layer_s)
        return cls(*(value * 1e3 for value in seconds))

    def __str__(self) -> str:
        """One line for the status."""
        return (
            f"read {self.read_ms:.0f} · network {self.network_ms:.0f} · "
            f"post {self.post_ms:.0f} · layer {self.layer_ms:.0f} ms"
        )


class Binding:
    """One image with its clicks, helper layers and active objects.

    Args:
        viewer: The napari viewer.
        image: The Image layer.
        spare: Has layers of an image before, and gets those of this one, while images change.
    """

    def __init__(self, viewer: Any, image: Image, spare: Spare | None = None) -> None:
        self.viewer = viewer
        self.image = image
        self.log = ClickLog()
        self.clicks = ClickLayers(viewer, image, self.log, spare)
        self.preview = Preview(viewer, image, spare=spare)
        self._spare = spare
        self.objects: dict[Plane, ActiveObject] = {}
        self.last_plane: Plane | None = None
        self.project: Project | None = None
        self._events = [getattr(image.events, name) for name in _PLACEMENT]
        self._follow = partial(_follow_image, self.clicks, self.preview)
        for event in self._events:
            event.connect(self._follow)

    @property
    def shown_plane(self) -> Plane | None:
        """The plane on the screen, None in the 3-D view."""
        try:
            return shown_plane(self.image, self.viewer.dims)
        except RasterError:
            return None

    @property
    def active(self) -> ActiveObject | None:
        """The object on the plane that is shown; else the one clicked last."""
        for plane in (self.shown_plane, self.last_plane):
            if plane is not None and plane in self.objects:
                return self.objects[plane]
        return None

    def show_preview(self) -> None:
        """Show the mask of the plane on the screen, else of the object that began last."""
        if self.image not in self.viewer.layers:  # being deleted: dims change first
            return
        plane = self.shown_plane
        shown = self.objects.get(plane) if plane is not None else None
        if shown is None and self.objects:
            shown = next(reversed(self.objects.values()))
        if shown is None:
            self.preview.clear()
        elif shown.prediction is not None or not shown.is_pending:
            self.preview.show(shown.plane, shown.prediction)

    def forget(self, active: ActiveObject) -> None:
        """Drop the object and its clicks, with no way back."""
        self.objects.pop(active.plane, None)
        self.log.put(active.plane, ())
        self.clicks.write()
        self.show_preview()

    def close(self) -> None:
        """Let go of the image; layers that hold clicks or a mask stay in the viewer."""
        for event in self._events:
            event.disconnect(self._follow)
        if self._spare is not None and self._spare.is_kept:
            self.clicks.give_up(self._spare)
            self.preview.give_up(self._spare)
        is_empty = not any(active.prediction for active in self.objects.values())
        self.clicks.close()
        self.clicks.changed.disconnect()
        self.clicks.refused.disconnect()
        preview = self.preview.layer
        if is_empty and preview is not None and preview in self.viewer.layers:
            self.viewer.layers.remove(preview)


def _follow_image(clicks: ClickLayers, preview: Preview, _event: Any = None) -> None:
    clicks.follow_image()
    preview.follow_image()
