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
from functools import partial
from typing import Any

from napari.layers import Image, Labels
from napari.utils.notifications import show_error, show_info, show_warning
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_edgeflow.errors import EdgeFlowError, RasterError
from napari_edgeflow.gui.click_log import Clicks
from napari_edgeflow.gui.commit import Change, CommitOrder, check_target, plan_commit
from napari_edgeflow.gui.engine import (
    Engine,
    ImageRefusedError,
    LabelToCorrect,
    PredictorFactory,
    Request,
    Result,
    SessionFactory,
)
from napari_edgeflow.gui.objects import ActiveObject, Binding, ClickTimings
from napari_edgeflow.gui.planes import Plane, layer_shape, plane_image, shown_plane, visible_side
from napari_edgeflow.gui.target import Commit, LabelTarget
from napari_edgeflow.gui.worker import Worker

_LOG = logging.getLogger(__name__)


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
        self.timings: ClickTimings | None = None
        self.device_line = ""
        self.may_overwrite = False
        self.status = "Choose an image and switch the click tool on."
        self._target = LabelTarget(viewer)
        self._bindings: list[Binding] = []
        self._object_ids = itertools.count(1)
        self._model = "default"
        self._threshold = 0.5
        self._largest_component = True
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
        objects = self.binding.objects
        for plane in (self.binding.shown_plane, self._last_plane):
            if plane is not None and plane in objects:
                return objects[plane]
        return None

    @property
    def object_line(self) -> str:
        """Which object is active, in words."""
        active = self.active
        label = self._target.next_label
        if active is None:
            return f"Next object: {label}"
        if active.to_correct is not None:
            return f"Correcting object {active.to_correct.label} on {active.plane.name}"
        return f"Object {label} on {active.plane.name}"

    @property
    def can_undo(self) -> bool:
        """True when undo would do something."""
        plane, active = self._plane_to_undo, self.active
        has_step = bool(self.binding and plane and self.binding.log.can_undo(plane))
        return has_step or self._target.can_undo or bool(active and active.to_correct)

    @property
    def can_redo(self) -> bool:
        """True when redo would do something."""
        plane = self._plane_to_undo
        return bool(self.binding and plane and self.binding.log.can_redo(plane))

    @property
    def _plane_to_undo(self) -> Plane | None:
        active = self.active
        if active is not None:
            return active.plane
        return self.binding.shown_plane if self.binding else None

    def is_preview(self, layer: Any) -> bool:
        """True for the helper layers that show active objects."""
        return any(layer is binding.preview.layer for binding in self._bindings)

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
        """Keep only the connected parts of the mask that hold a positive click."""
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
        for binding in self._bindings:
            for active in binding.objects.values():
                self._request(binding, active)
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
        self._say(f"The model could not be loaded: {_in_words(error)}", show_error)

    # --- layers ----------------------------------------------------------------------------

    @property
    def target(self) -> Labels | None:
        """The Labels layer that objects go to; None: a new one with the next commit."""
        return self._target.layer

    @target.setter
    def target(self, layer: Labels | None) -> None:
        if layer is self._target.layer:
            return
        if layer is not None and self.image is not None:
            check_target(layer, layer_shape(self.image))
        self._target.choose(layer)
        self.worker.cancel("ids")
        if layer is not None:
            labels = layer.data
            self.worker.submit(
                "ids", lambda _stop: int(labels.max(initial=0)), self._on_ids, self._on_ids_failed
            )
        self.changed.emit()

    def _on_ids(self, highest: int) -> None:
        self._target.next_label = highest + 1
        self.changed.emit()

    def _on_ids_failed(self, error: Exception) -> None:
        self._say(f"The ids of the labels could not be read: {_in_words(error)}", show_error)

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
        self._last_plane = None
        self.changed.emit()

    def show_click_layers(self) -> None:
        """Make the Points layers of the bound image, ready for clicking."""
        if self.binding is not None:
            self.binding.preview.ensure()
            self.binding.clicks.ensure()
            self.viewer.layers.selection.active = self.binding.clicks.layer(True)

    def _new_binding(self, image: Image) -> Binding:
        binding = Binding(self.viewer, image)
        binding.clicks.changed.connect(partial(self._on_clicks, binding))
        binding.clicks.refused.connect(self._on_refused)
        self._bindings.append(binding)
        return binding

    def _unbind(self, binding: Binding) -> None:
        for active in binding.objects.values():
            self.worker.cancel(active.id)
        self._bindings.remove(binding)
        binding.close()

    def _on_removed(self, event: Any) -> None:
        layer = event.value
        if layer is self.target:
            self._target.choose(None)
        for binding in list(self._bindings):
            if layer is binding.image:
                self._on_image_removed(binding)
            elif binding.clicks.forget(layer):
                if len(layer.data):
                    self._tell(
                        f"The layer {layer.name} was deleted; its clicks are kept and come back "
                        "with the next click. Reset drops them."
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
            y, x = plane.yx(image.world_to_data(world))
            plane.check_contains(y, x, str(image.name))
        except RasterError as error:
            self._on_refused(str(error))
            return
        position = plane.position(y, x)
        active = self.binding.objects.get(plane)
        if active is not None and active.is_finishing:
            active.waiting.append((position, is_positive))
            return
        self.binding.clicks.add(is_positive, position)

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
        self._last_plane = plane
        if clicks or active.to_correct is not None:
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
        binding.show_preview()
        self.status = "No clicks: left click on an object."

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
        binding.show_preview()
        self.timings = ClickTimings.of(result.timings, time.perf_counter() - start)
        area = int(active.prediction.mask.sum()) if active.prediction else 0
        many = "s" * (len(clicks) != 1)
        self.status = f"{len(clicks)} click{many} · {area} px on {active.plane.name}"
        if active.is_finishing:
            self._commit(binding, active)
        self.changed.emit()

    def _on_failed(self, binding: Binding, active: ActiveObject, error: Exception) -> None:
        text = _in_words(error) + active.stop()
        if isinstance(error, ImageRefusedError) or not binding.log.on_plane(active.plane):
            self.worker.cancel(active.id)
            binding.forget(active)
        else:
            text += "\nThe clicks are kept: undo, or click again."
        self._say(text, show_error)

    def _on_dims(self, _event: Any = None) -> None:
        if self.binding is not None:
            self.binding.show_preview()
            self.changed.emit()

    # --- undo, reset, cancel ---------------------------------------------------------------

    def undo(self) -> None:
        """Take back the last step: a click, a move, a deletion, or else the last commit."""
        binding, active, plane = self.binding, self.active, self._plane_to_undo
        if active is not None and active.is_finishing:
            return
        if binding is not None and plane is not None and binding.log.undo(plane):
            self._after_history(binding, plane)
        elif binding is not None and active is not None and active.to_correct is not None:
            self._drop_object(binding, active)
        elif self._target.can_undo:
            self._undo_commit()
        self.changed.emit()

    def redo(self) -> None:
        """Do the last undone step again."""
        plane = self._plane_to_undo
        if self.binding is not None and plane is not None and self.binding.log.redo(plane):
            self._after_history(self.binding, plane)
        self.changed.emit()

    def _after_history(self, binding: Binding, plane: Plane) -> None:
        binding.clicks.ensure()
        self._update_object(binding, plane)

    def reset(self) -> None:
        """Drop all clicks of the object, as one step that undo takes back."""
        binding, active = self.binding, self.active
        if binding is None or active is None or active.is_finishing:
            return
        active.to_correct = None
        if binding.log.on_plane(active.plane):
            binding.log.put(active.plane, ())
        self._after_history(binding, active.plane)
        self.changed.emit()

    def cancel(self) -> None:
        """Stop the network; clicks that have no mask yet are withdrawn (redo brings them back)."""
        self.worker.cancel()
        for binding in self._bindings:
            for active in list(binding.objects.values()):
                self._withdraw(binding, active)
        self.status = "Cancelled."
        self.changed.emit()

    def _withdraw(self, binding: Binding, active: ActiveObject) -> None:
        active.stop()
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
        if not active.is_pending:
            if active.predicted_clicks == binding.log.on_plane(active.plane):
                self._commit(binding, active)
            else:
                self._request(binding, active)
        self.changed.emit()

    def correct(self, label: int) -> None:
        """Make the object with this id in the target layer the active one."""
        binding, target = self.binding, self.target
        plane = binding.shown_plane if binding is not None else None
        if binding is None or plane is None or target is None:
            self._say("Choose the image and the Labels layer of the object first.", show_warning)
        elif label < 1:
            self._say("Pick the label of the object in the Labels layer first.", show_warning)
        elif plane in binding.objects:
            self._say("Finish or reset the active object first.", show_warning)
        else:
            self._start_correction(binding, plane, target, label)

    def _start_correction(self, binding: Binding, plane: Plane, target: Labels, label: int) -> None:
        try:
            check_target(target, layer_shape(binding.image))
        except ValueError as error:
            self._say(str(error), show_error)
            return
        binding.log.drop(plane)
        to_correct = LabelToCorrect(target.data[plane.slicer], label)
        self._request(binding, self._start_object(binding, plane, to_correct))
        self.changed.emit()

    def _commit(self, binding: Binding, active: ActiveObject) -> None:
        try:
            if active.prediction is None:
                raise ValueError("expected a mask to commit, got none; click on the object first")
            layer = self._target.ensure(binding.image, active.plane)
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

    def _on_planned(
        self, binding: Binding, active: ActiveObject, layer: Labels, change: Change
    ) -> None:
        if layer not in self.viewer.layers:
            gone = ValueError(f"{layer.name} was deleted before the object was written; try again")
            self._on_commit_failed(active, gone)
            return
        self._target.write(layer, change, binding.log.on_plane(active.plane), active)
        waiting = list(active.waiting)
        active.stop()
        binding.forget(active)
        lost = f"; {change.lost_px} px stayed with its neighbours" if change.lost_px else ""
        self.status = f"Object {change.label} written to {layer.name}{lost}."
        for position, is_positive in waiting:
            binding.clicks.add(is_positive, position)
        self.changed.emit()

    def _on_commit_failed(self, active: ActiveObject, error: Exception) -> None:
        self._say(f"Not committed: {_in_words(error)}{active.stop()}", show_error)

    def _undo_commit(self) -> None:
        commit = self._target.undo()
        if commit is None:
            self._say("The layer of the last commit is gone: nothing to take back.", show_warning)
            return
        self.status = f"Took back object {commit.change.label}."
        binding = self.binding
        is_same = binding is not None and layer_shape(binding.image) == commit.layer.data.shape
        if binding is not None and is_same:
            self._bring_back(binding, commit)

    def _bring_back(self, binding: Binding, commit: Commit) -> None:
        """Go on clicking where the commit ended, unless another object is active there."""
        plane = commit.active.plane
        if plane in binding.objects or not commit.clicks:
            return
        binding.objects[plane] = commit.active
        self._last_plane = plane
        binding.log.put(plane, commit.clicks)
        binding.clicks.ensure()
        binding.show_preview()

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


def _in_words(error: Exception) -> str:
    """The message of an expected error; the type too of one that is not, which is logged."""
    if isinstance(error, EdgeFlowError | ValueError):
        return str(error)
    _LOG.error("%s", error, exc_info=error)
    return f"{type(error).__name__}: {error}"
