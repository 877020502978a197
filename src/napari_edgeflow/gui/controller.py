"""Layers and clicks on one side, the worker's sessions on the other; no widgets.

The click log is the truth. Whatever changes it (a click on the canvas, a point moved or
deleted in its layer, undo) sends a request with all clicks of the object to the worker;
the answer becomes the preview, unless a later request made it stale.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.notifications import show_error, show_info, show_warning
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_edgeflow._types import Prediction
from napari_edgeflow.errors import EdgeFlowError, RasterError
from napari_edgeflow.gui.click_layers import ClickLayers
from napari_edgeflow.gui.click_log import ClickLog, Clicks
from napari_edgeflow.gui.commit import (
    Change,
    CommitOrder,
    apply_change,
    check_size,
    check_target,
    new_labels,
    plan_commit,
    plan_undo,
)
from napari_edgeflow.gui.engine import (
    Engine,
    ImageRefusedError,
    LabelToCorrect,
    PredictorFactory,
    Request,
    Result,
    SessionFactory,
    TimingsLike,
)
from napari_edgeflow.gui.planes import Plane, layer_shape, plane_image, shown_plane, visible_side
from napari_edgeflow.gui.preview import Preview
from napari_edgeflow.gui.worker import Worker

_LOG = logging.getLogger(__name__)
_PLACEMENT = ("scale", "translate", "rotate", "shear", "affine")


@dataclass(eq=False)
class ActiveObject:
    """The object that the user is clicking on one plane."""

    id: int
    plane: Plane
    field_of_view: float
    to_correct: LabelToCorrect | None = None
    prediction: Prediction | None = None
    predicted_clicks: Clicks | None = None
    is_pending: bool = False
    is_finishing: bool = False
    waiting: list[tuple[tuple[float, ...], bool]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Commit:
    """A commit that can be taken back."""

    layer: Labels
    change: Change
    plane: Plane
    clicks: Clicks
    active: ActiveObject


@dataclass(frozen=True, slots=True)
class ClickTimings:
    """Milliseconds of the last click, from the click to the preview on the screen."""

    read_ms: float
    network_ms: float
    post_ms: float
    layer_ms: float

    def __str__(self) -> str:
        """One line for the status."""
        return (
            f"read {self.read_ms:.0f} · network {self.network_ms:.0f} · "
            f"post {self.post_ms:.0f} · layer {self.layer_ms:.0f} ms"
        )


class Binding:
    """One image with its clicks, helper layers and active objects."""

    def __init__(self, viewer: Any, image: Image) -> None:
        self.image = image
        self.log = ClickLog()
        self.clicks = ClickLayers(viewer, image, self.log)
        self.preview = Preview(viewer, image)
        self.objects: dict[Plane, ActiveObject] = {}

    def follow_image(self, _event: Any = None) -> None:
        """Move the helper layers with the image."""
        self.clicks.follow_image()
        self.preview.follow_image()


class Controller:
    """Binds an image to sessions; the widget and the tests drive it."""

    changed = Signal()
    """Something that a widget shows has changed."""

    def __init__(
        self,
        viewer: Any,
        predictor_factory: PredictorFactory | None = None,
        session_factory: SessionFactory | None = None,
    ) -> None:
        self.viewer = viewer
        self.worker = Worker()
        self.engine = Engine(predictor_factory, session_factory)
        self.binding: Binding | None = None
        self.target: Labels | None = None
        self.timings: ClickTimings | None = None
        self.device_line = ""
        self.may_overwrite = False
        self.status = "Choose an image and switch the click tool on."
        self._bindings: list[Binding] = []
        self._commits: list[Commit] = []
        self._object_ids = itertools.count(1)
        self._model = "default"
        self._threshold = 0.5
        self._largest_component = False
        self._last_plane: Plane | None = None
        self._is_closed = False
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.dims.events.point.connect(self._on_dims)
        viewer.dims.events.order.connect(self._on_dims)

    # --- what the widget shows -------------------------------------------------------------

    @property
    def image(self) -> Image | None:
        """The image that is clicked on."""
        return self.binding.image if self.binding else None

    @property
    def active(self) -> ActiveObject | None:
        """The object on the slice that is shown; else the one clicked last."""
        if self.binding is None:
            return None
        plane = self._shown_plane()
        objects = self.binding.objects
        found = objects.get(plane) if plane is not None else None
        return found or (objects.get(self._last_plane) if self._last_plane is not None else None)

    @property
    def next_label(self) -> int | None:
        """The id that the active object replaces, None when it will be a new one."""
        active = self.active
        return active.to_correct.label if active and active.to_correct else None

    @property
    def can_undo(self) -> bool:
        """True when undo would do something."""
        active = self.active
        plane = active.plane if active is not None else self._shown_plane()
        has_step = bool(self.binding and plane and self.binding.log.can_undo(plane))
        return has_step or bool(self._commits or (active and active.to_correct))

    @property
    def can_redo(self) -> bool:
        """True when redo would do something."""
        plane = self._shown_plane()
        return bool(self.binding and plane and self.binding.log.can_redo(plane))

    # --- settings --------------------------------------------------------------------------

    @property
    def threshold(self) -> float:
        """Probability from which a pixel belongs to the object, in (0, 1)."""
        return self._threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        if not 0 < value < 1:
            raise ValueError(f"expected a threshold between 0 and 1, got {value}; move the slider")
        self._set("_threshold", value)

    @property
    def largest_component(self) -> bool:
        """Keep only the part of the mask that is largest."""
        return self._largest_component

    @largest_component.setter
    def largest_component(self, value: bool) -> None:
        self._set("_largest_component", value)

    @property
    def model(self) -> str:
        """Name of the model in the zoo."""
        return self._model

    @model.setter
    def model(self, name: str) -> None:
        self._set("_model", name)

    def _set(self, name: str, value: Any) -> None:
        if getattr(self, name) == value:
            return
        setattr(self, name, value)
        if self.binding:
            for active in self.binding.objects.values():
                if active.prediction is not None or active.predicted_clicks is not None:
                    self._request(self.binding, active)
        self.changed.emit()

    def load_model(self) -> None:
        """Load the model before the first click needs it."""
        model = self._model
        self.status = "Loading the model…"
        self.worker.submit(
            "load", lambda _stop: self.engine.load(model), self._on_loaded, self._on_load_failed
        )
        self.changed.emit()

    def _on_loaded(self, line: str) -> None:
        self.device_line = line
        self.status = "Ready: left click on an object, right click beside it."
        self.changed.emit()

    def _on_load_failed(self, error: Exception) -> None:
        self._say(f"The model could not be loaded: {error}", show_error)

    # --- image and layers ------------------------------------------------------------------

    def bind(self, image: Image | None) -> None:
        """Click on this image from now on; clicks on the one before are kept with it."""
        if image is self.image:
            return
        old, self.binding = self.binding, None
        if old is not None and not old.objects:
            self._unbind(old)
        if image is not None:
            known = [b for b in self._bindings if b.image is image]
            self.binding = known[0] if known else self._new_binding(image)
        self.changed.emit()

    def show_click_layers(self) -> None:
        """Make the Points layers of the bound image, ready for clicking."""
        if self.binding is not None:
            self.binding.clicks.ensure()
            self.viewer.layers.selection.active = self.binding.clicks.layer(True)

    def _new_binding(self, image: Image) -> Binding:
        binding = Binding(self.viewer, image)
        binding.clicks.changed.connect(partial(self._on_clicks, binding))
        binding.clicks.refused.connect(self._on_refused)
        for name in _PLACEMENT:
            getattr(image.events, name).connect(binding.follow_image)
        self._bindings.append(binding)
        return binding

    def _unbind(self, binding: Binding) -> None:
        for active in binding.objects.values():
            self.worker.cancel(active.id)
        for name in _PLACEMENT:
            getattr(binding.image.events, name).disconnect(binding.follow_image)
        keeps_preview = any(active.prediction for active in binding.objects.values())
        preview = binding.preview.layer
        binding.clicks.close()
        if preview is not None and not keeps_preview and preview in self.viewer.layers:
            self.viewer.layers.remove(preview)
        binding.clicks.changed.disconnect()
        binding.clicks.refused.disconnect()
        self._bindings.remove(binding)

    def _on_removed(self, event: Any) -> None:
        layer = event.value
        if layer is self.target:
            self.target = None
        for binding in list(self._bindings):
            if layer is binding.image:
                self._on_image_removed(binding)
            elif binding.clicks.forget(layer):
                self._tell(
                    f"The layer {layer.name} was deleted; its clicks are kept and come back with "
                    "the next click. Use Reset to drop them."
                )
            elif layer is binding.preview.layer:
                binding.preview.layer = None
        self.changed.emit()

    def _on_image_removed(self, binding: Binding) -> None:
        has_clicks = bool(binding.log.planes)
        self._unbind(binding)
        if self.binding is binding:
            self.binding = None
        rest = "; its clicks stay in their Points layers" if has_clicks else ""
        self._tell(f"The image {binding.image.name} was deleted{rest}. Choose another image.")

    # --- clicks ----------------------------------------------------------------------------

    def click(self, world: Sequence[float], is_positive: bool) -> None:
        """Add a click at a place of the world, on the slice that is shown."""
        if self.binding is None:
            self._say("Choose an image to click on first.", show_warning)
            return
        image = self.binding.image
        try:
            plane = shown_plane(image, self.viewer.dims)
        except RasterError as error:
            self._say(str(error), show_warning)
            return
        y, x = plane.yx(image.world_to_data(world))
        active = self.binding.objects.get(plane)
        if active is not None and active.is_finishing:
            active.waiting.append((plane.position(y, x), is_positive))
            return
        self.binding.clicks.add(is_positive, plane.position(y, x))

    def _on_refused(self, reason: str) -> None:
        self._say(reason[:1].upper() + reason[1:], show_warning)

    def _on_clicks(self, binding: Binding, planes: tuple[Plane, ...]) -> None:
        for plane in planes:
            self._update_object(binding, plane)
        self.changed.emit()

    def _update_object(self, binding: Binding, plane: Plane) -> None:
        """Bring the object of a plane up to the log."""
        clicks = binding.log.on_plane(plane)
        active = binding.objects.get(plane)
        if active is None and clicks:
            active = self._start_object(binding, plane)
        if active is None:
            return
        if clicks or active.to_correct is not None:
            self._last_plane = plane
            self._request(binding, active)
        else:
            self._drop_object(binding, active)

    def _start_object(
        self, binding: Binding, plane: Plane, to_correct: LabelToCorrect | None = None
    ) -> ActiveObject:
        others = [other for other in binding.objects if other != plane]
        if others:
            self._say(
                f"New object on {plane.name}; the one on {others[-1].name} is kept there.",
                show_info,
            )
        side = visible_side(self.viewer, binding.image, plane)
        active = ActiveObject(next(self._object_ids), plane, side, to_correct)
        binding.objects[plane] = active
        self._last_plane = plane
        return active

    def _drop_object(self, binding: Binding, active: ActiveObject) -> None:
        """Forget an object without clicks; its undo history stays for redo."""
        self.worker.cancel(active.id)
        binding.objects.pop(active.plane, None)
        self._show_preview(binding)

    def _request(self, binding: Binding, active: ActiveObject) -> None:
        clicks = binding.log.on_plane(active.plane)
        is_new = active.to_correct is None and clicks
        active.is_pending = True
        request = Request(
            image=plane_image(binding.image, active.plane),
            model=self._model,
            object_id=active.id,
            clicks=tuple(click.click for click in clicks),
            field_of_view=clicks[0].field_of_view if is_new else active.field_of_view,
            threshold=self._threshold,
            largest_component=self._largest_component,
            to_correct=active.to_correct,
        )
        self.worker.submit(
            active.id,
            partial(self.engine.run, request),
            partial(self._on_result, binding, active, clicks),
            partial(self._on_failed, binding, active),
        )

    def _on_result(
        self, binding: Binding, active: ActiveObject, clicks: Clicks, result: Result
    ) -> None:
        if binding.objects.get(active.plane) is not active:
            return
        active.is_pending = False
        active.prediction, active.predicted_clicks = result.prediction, clicks
        self.device_line = result.device_line
        start = time.perf_counter()
        self._show_preview(binding)
        self.timings = _in_ms(result.timings, time.perf_counter() - start)
        self.status = self._describe(active, len(clicks))
        if active.is_finishing:
            self._commit(binding, active)
        self.changed.emit()

    def _describe(self, active: ActiveObject, n_clicks: int) -> str:
        area = int(active.prediction.mask.sum()) if active.prediction else 0
        return f"{n_clicks} click{'s' * (n_clicks != 1)} · {area} px on {active.plane.name}"

    def _on_failed(self, binding: Binding, active: ActiveObject, error: Exception) -> None:
        is_expected = isinstance(error, EdgeFlowError | ValueError)
        if not is_expected:
            _LOG.error("a click failed", exc_info=error)
        text = str(error) if is_expected else f"{type(error).__name__}: {error}"
        active.is_pending = active.is_finishing = False
        waiting, active.waiting = active.waiting, []
        if isinstance(error, ImageRefusedError) or not binding.log.on_plane(active.plane):
            self.worker.cancel(active.id)
            binding.objects.pop(active.plane, None)
            binding.log.drop(active.plane)
            binding.clicks.write()
            self._show_preview(binding)
        else:
            text += f"\nThe clicks are kept{_not_added(waiting)}: undo, or click again."
        self._say(text, show_error)

    def _on_dims(self, _event: Any = None) -> None:
        if self.binding is not None:
            self._show_preview(self.binding)
            self.changed.emit()

    def _show_preview(self, binding: Binding) -> None:
        """Show the mask of the slice on the screen, else of the object clicked last."""
        plane = self._shown_plane(binding)
        objects = binding.objects
        shown = objects.get(plane) if plane is not None else None
        if shown is None and objects:
            shown = next(reversed(objects.values()))
        if shown is None:
            binding.preview.clear()
        elif shown.prediction is not None:
            binding.preview.show(shown.plane, shown.prediction)

    def _shown_plane(self, binding: Binding | None = None) -> Plane | None:
        binding = binding or self.binding
        if binding is None:
            return None
        try:
            return shown_plane(binding.image, self.viewer.dims)
        except RasterError:
            return None

    # --- undo, reset, cancel ---------------------------------------------------------------

    def undo(self) -> None:
        """Take back the last step: a click, a move, a deletion, or else the last commit."""
        binding, active = self.binding, self.active
        plane = active.plane if active is not None else self._shown_plane()
        if active is not None and active.is_finishing:
            return
        if binding is not None and plane is not None and binding.log.undo(plane):
            self._after_history(binding, plane)
        elif binding is not None and active is not None and active.to_correct is not None:
            self._drop_object(binding, active)
            self.changed.emit()
        else:
            self._undo_commit()

    def redo(self) -> None:
        """Do the last undone step of the slice's object again."""
        plane = self._shown_plane()
        if self.binding is not None and plane is not None and self.binding.log.redo(plane):
            self._after_history(self.binding, plane)

    def _after_history(self, binding: Binding, plane: Plane) -> None:
        binding.clicks.ensure()
        self._update_object(binding, plane)
        self.changed.emit()

    def reset(self) -> None:
        """Drop all clicks of the object, as one step that undo takes back."""
        binding, active = self.binding, self.active
        if binding is None or active is None or active.is_finishing:
            return
        active.to_correct = None
        if binding.log.on_plane(active.plane):
            binding.log.put(active.plane, ())
        self._after_history(binding, active.plane)

    def cancel(self) -> None:
        """Stop the network; clicks that have no mask yet are withdrawn (redo brings them back)."""
        self.worker.cancel()
        for binding in self._bindings:
            for active in list(binding.objects.values()):
                self._withdraw(binding, active)
        self.status = "Cancelled."
        self.changed.emit()

    def _withdraw(self, binding: Binding, active: ActiveObject) -> None:
        active.is_pending = active.is_finishing = False
        active.waiting = []
        wanted = active.predicted_clicks or ()
        while binding.log.on_plane(active.plane) != wanted and binding.log.undo(active.plane):
            pass
        binding.clicks.write()
        if not wanted and active.prediction is None:
            binding.objects.pop(active.plane, None)

    # --- commit ----------------------------------------------------------------------------

    def finish(self) -> None:
        """Commit the active object under its id and be ready for the next."""
        binding, active = self.binding, self.active
        if binding is None or active is None:
            self._say("There is no object to finish: click on one first.", show_warning)
            return
        if active.is_finishing:
            return
        active.is_finishing = True
        if active.predicted_clicks == binding.log.on_plane(active.plane):
            self._commit(binding, active)
        elif not active.is_pending:
            self._request(binding, active)
        self.changed.emit()

    def correct(self, label: int) -> None:
        """Make the object with this id in the target layer the active one."""
        binding, plane = self.binding, self._shown_plane()
        if binding is None or plane is None or self.target is None:
            self._say("Choose the image and the Labels layer of the object first.", show_warning)
            return
        if label < 1 or plane in binding.objects:
            self._say(
                "Pick the object's label first."
                if label < 1
                else "Finish or reset the active object first.",
                show_warning,
            )
            return
        try:
            check_target(self.target, layer_shape(binding.image))
        except ValueError as error:
            self._say(str(error), show_error)
            return
        binding.log.drop(plane)
        to_correct = LabelToCorrect(self.target.data[plane.slicer], label)
        self._request(binding, self._start_object(binding, plane, to_correct))
        self.changed.emit()

    def _commit(self, binding: Binding, active: ActiveObject) -> None:
        try:
            layer = self._ensure_target(binding, active)
            if active.prediction is None:
                raise ValueError("expected a mask to commit, got none; click on the object first")
        except ValueError as error:
            self._on_commit_failed(active, error)
            return
        label = active.to_correct.label if active.to_correct else None
        order = CommitOrder(layer.data, active.plane, active.prediction, label, self.may_overwrite)
        self.worker.submit(
            ("commit", active.id),
            lambda _stop: plan_commit(order),
            partial(self._on_planned, binding, active, layer),
            partial(self._on_commit_failed, active),
        )

    def _ensure_target(self, binding: Binding, active: ActiveObject) -> Labels:
        shape = layer_shape(binding.image)
        if self.target is not None:
            check_target(self.target, shape)
            return self.target
        check_size(shape, active.plane)
        selected = self.viewer.layers.selection.active
        try:
            self.target = new_labels(binding.image, {layer.name for layer in self.viewer.layers})
        except MemoryError as error:
            raise ValueError(f"labels of shape {shape} do not fit in memory: {error}") from error
        self.viewer.layers.insert(self.viewer.layers.index(binding.image) + 1, self.target)
        self.viewer.layers.selection.active = selected
        return self.target

    def _on_planned(
        self, binding: Binding, active: ActiveObject, layer: Labels, change: Change
    ) -> None:
        if layer not in self.viewer.layers:
            error = ValueError(f"{layer.name} was deleted before the object was written; try again")
            self._on_commit_failed(active, error)
            return
        apply_change(layer, change)
        clicks = binding.log.on_plane(active.plane)
        self._commits.append(Commit(layer, change, active.plane, clicks, active))
        binding.log.drop(active.plane)
        binding.objects.pop(active.plane, None)
        binding.clicks.write()
        self._show_preview(binding)
        self.status = _committed(change, active.plane, layer.name)
        waiting, active.waiting, active.is_finishing = active.waiting, [], False
        for position, is_positive in waiting:
            binding.clicks.add(is_positive, position)
        self.changed.emit()

    def _on_commit_failed(self, active: ActiveObject, error: Exception) -> None:
        active.is_finishing = False
        waiting, active.waiting = active.waiting, []
        self._say(f"Not committed: {error}{_not_added(waiting)}", show_error)

    def _undo_commit(self) -> None:
        if not self._commits:
            return
        commit = self._commits.pop()
        if commit.layer not in self.viewer.layers:
            self._say("The layer of the last commit is gone: nothing to take back.", show_warning)
            return
        apply_change(commit.layer, plan_undo(np.asarray(commit.layer.data), commit.change))
        self.status = f"Took back object {commit.change.label} on {commit.plane.name}."
        binding = self.binding
        if binding is not None and commit.plane not in binding.objects and commit.clicks:
            self._bring_back(binding, commit)
        self.changed.emit()

    def _bring_back(self, binding: Binding, commit: Commit) -> None:
        if tuple(commit.layer.data.shape) != layer_shape(binding.image):
            return
        binding.objects[commit.plane] = commit.active
        self._last_plane = commit.plane
        binding.log.put(commit.plane, commit.clicks)
        binding.clicks.ensure()
        self._show_preview(binding)

    # --- messages and end ------------------------------------------------------------------

    def _say(self, text: str, show: Callable[[str], Any]) -> None:
        self.status = text
        show(text)
        self.changed.emit()

    def _tell(self, text: str) -> None:
        """Warn once the viewer is done with what it is doing, unless it is closing."""
        self.status = text
        QTimer.singleShot(0, lambda: None if self._is_closed else show_warning(text))

    def close(self) -> None:
        """Let go of the viewer; active clicks stay in their layers, empty helper layers go."""
        if self._is_closed:
            return
        self._is_closed = True
        self.worker.close()
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        self.viewer.dims.events.point.disconnect(self._on_dims)
        self.viewer.dims.events.order.disconnect(self._on_dims)
        for binding in list(self._bindings):
            self._unbind(binding)
        self.binding = None


def _in_ms(timings: TimingsLike, layer_s: float) -> ClickTimings:
    return ClickTimings(
        timings.read_s * 1e3, timings.network_s * 1e3, timings.post_s * 1e3, layer_s * 1e3
    )


def _not_added(waiting: Sequence[Any]) -> str:
    return f" ({len(waiting)} later clicks were not added)" if waiting else ""


def _committed(change: Change, plane: Plane, layer_name: str) -> str:
    lost = f"; {change.lost_px} px stayed with its neighbours" if change.lost_px else ""
    return f"Object {change.label} written to {layer_name} on {plane.name}{lost}."
