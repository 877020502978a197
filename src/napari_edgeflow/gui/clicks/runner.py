"""Brings active objects up to the click log: asks the worker, shows its answers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module

from napari.utils.notifications import show_error, show_info

from napari_edgeflow._types import Click, ClickKind, PostProcessing, Prediction
from napari_edgeflow.gui.clicks.engine import (
    Engine,
    ImageRefusedError,
    Request,
    Result,
    StartMask,
)
from napari_edgeflow.gui.clicks.log import Clicks
from napari_edgeflow.gui.clicks.objects import ActiveObject, Binding, ClickTimings
from napari_edgeflow.gui.messages import Messages, in_words
from napari_edgeflow.gui.planes import Plane, plane_image, visible_side
from napari_edgeflow.gui.worker import Worker

PEEK = "peek"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user chose; the same for all objects.

    Attributes:
        model: Name of the model in the zoo.
        postprocessing: How probabilities become masks.
    """

    model: str = "default"
    postprocessing: PostProcessing = field(default_factory=PostProcessing)


class Runner:
    """Starts, updates and drops active objects.

    Args:
        engine: Answers requests, in the worker.
        messages: Where to say what happened.
        on_ready: Called with an object that is to be committed once its mask is there.
    """

    def __init__(
        self,
        engine: Engine,
        messages: Messages,
        on_ready: Callable[[Binding, ActiveObject], None],
    ) -> None:
        self.worker = Worker()
        self.engine = engine
        self.settings = Settings()
        self.timings: ClickTimings | None = None
        self.device_line = ""
        self.click_kinds = engine.click_kinds
        self._messages = messages
        self._on_ready = on_ready
        self._object_ids = itertools.count(1)

    def load_model(self) -> None:
        """Load the model before the first click needs it."""
        self._messages.status = "Loading the model…"
        self.worker.submit("prepare", _import_ahead, lambda _done: None, self._on_load_failed)
        model = self.settings.model
        self.worker.submit(
            "load", lambda _stop: self.engine.load(model), self._on_loaded, self._on_load_failed
        )
        self._messages.on_change()

    def _on_loaded(self, line: str) -> None:
        self.device_line, self.click_kinds = line, self.engine.click_kinds
        self._messages.status = "Ready: " + how_to_click(self.click_kinds) + "."
        self._messages.on_change()

    def _on_load_failed(self, error: Exception) -> None:
        self._messages.say(f"The model could not be loaded: {in_words(error)}", show_error)

    def refusal(self, kind: ClickKind, active: ActiveObject | None) -> str:
        """Why a click of this kind cannot be taken now; empty when it can."""
        if kind not in self.click_kinds:
            how = how_to_click(self.click_kinds)
            return f"the model {self.settings.model} takes no {kind} clicks: {how}"
        if kind == "boundary" and (active is None or active.is_finishing):
            return "click on an object first, then on its boundary"
        return ""

    def update(self, binding: Binding, plane: Plane) -> None:
        """Bring the object of a plane up to the log."""
        clicks = binding.log.on_plane(plane)
        active = binding.objects.get(plane)
        if active is None and clicks:
            active = self.start(binding, plane)
        if active is None:
            return
        binding.last_plane = plane
        if clicks or active.corrects is not None:
            self.request(binding, active)
        else:
            self.drop(binding, active)

    def start(
        self,
        binding: Binding,
        plane: Plane,
        corrects: int | None = None,
        start: StartMask | None = None,
    ) -> ActiveObject:
        """A new active object on this plane."""
        others = [other for other in binding.objects if other != plane]
        if others:
            self._messages.say(
                f"New object on {plane.name}; the one on {others[-1].name} is kept there.",
                show_info,
            )
        side = visible_side(binding.viewer, binding.image, plane)
        active = ActiveObject(next(self._object_ids), plane, side, corrects, start)
        binding.objects[plane] = active
        binding.last_plane = plane
        return active

    def drop(self, binding: Binding, active: ActiveObject) -> None:
        """Forget an object without clicks; undo brings it back."""
        self.worker.cancel(active.id)
        binding.objects.pop(active.plane, None)
        binding.show_preview()
        self._messages.status = "No clicks: left click on an object."

    def withdraw(self, binding: Binding, active: ActiveObject) -> None:
        """Take back the clicks that have no mask yet."""
        active.stop()
        wanted = active.predicted_clicks or ()
        binding.log.put(active.plane, wanted)
        binding.clicks.write()
        if not wanted and active.prediction is None:
            binding.objects.pop(active.plane, None)

    def request(
        self,
        binding: Binding,
        active: ActiveObject,
        run: Callable[[Request, Callable[[], bool]], Result] | None = None,
    ) -> None:
        """Ask the worker for the mask of the object's clicks; replaces what was asked before.

        Args:
            binding: Of the image.
            active: The object.
            run: Answers in the worker; None: ``Engine.run``.
        """
        clicks = binding.log.on_plane(active.plane)
        active.is_pending = True
        request = self._request(binding, active, clicks)
        self.worker.submit(
            active.id,
            partial(run or self.engine.run, request),
            partial(self._on_result, binding, active, clicks),
            partial(self._on_failed, binding, active),
        )

    def _request(self, binding: Binding, active: ActiveObject, clicks: Clicks) -> Request:
        is_new = active.start is None and clicks
        return Request(
            image=plane_image(binding.image, active.plane),
            model=self.settings.model,
            object_id=active.id,
            clicks=tuple(click.click for click in clicks),
            field_of_view=clicks[0].field_of_view if is_new else active.field_of_view,
            postprocessing=self.settings.postprocessing,
            start=active.start,
        )

    def peek(
        self,
        binding: Binding,
        plane: Plane,
        click: Click,
        on_mask: Callable[[Prediction | None], None],
    ) -> None:
        """Work out what a click would give, when the worker has nothing else to do.

        Args:
            binding: Of the image.
            plane: That is clicked.
            click: That is not there yet.
            on_mask: Called on the Qt thread, unless something else came meanwhile.
        """
        active = binding.objects.get(plane)
        side = visible_side(binding.viewer, binding.image, plane)
        if active is None:
            active = ActiveObject(0, plane, side)
        if active.is_pending or active.is_finishing:
            return
        request = self._request(binding, active, binding.log.on_plane(plane))
        request = replace(request, clicks=(*request.clicks, click))
        if not (click.is_positive or len(request.clicks) > 1 or request.start is not None):
            return
        self.worker.submit_idle(
            PEEK, partial(self.engine.peek, request), on_mask, lambda _error: None
        )

    def _on_result(
        self, binding: Binding, active: ActiveObject, clicks: Clicks, result: Result
    ) -> None:
        if binding.objects.get(active.plane) is not active:
            return
        active.is_pending = False
        active.prediction, active.predicted_clicks = result.prediction, clicks
        self.device_line, self.click_kinds = result.device_line, self.engine.click_kinds
        start = time.perf_counter()
        binding.show_preview()
        self.timings = ClickTimings.of(result.timings, time.perf_counter() - start)
        area = active.prediction.area_px if active.prediction else 0
        many = "s" * (len(clicks) != 1)
        self._messages.status = f"{len(clicks)} click{many} · {area} px on {active.plane.name}"
        if active.is_finishing:
            self._on_ready(binding, active)
        self._messages.on_change()

    def _on_failed(self, binding: Binding, active: ActiveObject, error: Exception) -> None:
        text = in_words(error) + active.stop()
        if isinstance(error, ImageRefusedError) or not binding.log.on_plane(active.plane):
            self.worker.cancel(active.id)
            binding.forget(active)
        else:
            text += "\nThe clicks are kept: undo, or click again."
        self._messages.say(text, show_error)


def how_to_click(kinds: Sequence[ClickKind]) -> str:
    """Which button gives which of these clicks, in words."""
    ways: dict[ClickKind, str] = {
        "positive": "left click on an object",
        "negative": "right click beside it",
        "boundary": "Shift + left click on its boundary",
    }
    return ", ".join(way for kind, way in ways.items() if kind in kinds)


def _import_ahead(_should_stop: Callable[[], bool]) -> None:
    """Import what napari imports with its first Points and Labels layers: 0.4 s less there."""
    for name in ("pandas", "skimage.color.colorconv"):
        with suppress(ImportError):
            import_module(name)
