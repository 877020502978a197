"""Layers and clicks on one side, the worker's sessions on the other; no widgets.

The click log is the truth. Whatever changes it (a click on the canvas, a point moved or
deleted in its layer, undo) sends a request with all clicks of the object to the worker;
the answer becomes the preview, unless a later request made it stale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from napari.layers import Image, Labels
from napari.utils.notifications import show_error, show_warning
from psygnal import Signal

from napari_edgeflow._types import ClickKind, PostProcessing
from napari_edgeflow.errors import RasterError
from napari_edgeflow.gui.commit import check_target
from napari_edgeflow.gui.committer import NOTHING_TO_CORRECT, Committer
from napari_edgeflow.gui.engine import Engine, PredictorFactory, SessionFactory
from napari_edgeflow.gui.messages import Messages, in_words
from napari_edgeflow.gui.objects import ActiveObject, Binding, ClickTimings
from napari_edgeflow.gui.planes import Plane, layer_shape, shown_plane
from napari_edgeflow.gui.runner import Runner
from napari_edgeflow.gui.target import LabelTarget


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
        self.binding: Binding | None = None
        self._messages = Messages(self.changed.emit)
        self._runner = Runner(
            Engine(predictor_factory, session_factory),
            self._messages,
            lambda binding, active: self._committer.commit(binding, active),
        )
        self.worker = self._runner.worker
        self._target = LabelTarget(viewer)
        self._committer = Committer(viewer, self._target, self._runner, self._messages)
        self._bindings: list[Binding] = []
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
        return self.binding.active if self.binding else None

    @property
    def status(self) -> str:
        """What happened last, in words."""
        return self._messages.status

    @property
    def device_line(self) -> str:
        """Model, device and precision in words; empty before the model is loaded."""
        return self._runner.device_line

    @property
    def timings(self) -> ClickTimings | None:
        """Of the last click, None before the first."""
        return self._runner.timings

    @property
    def click_kinds(self) -> tuple[ClickKind, ...]:
        """Kinds of clicks that the model takes."""
        return self._runner.click_kinds

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
    def postprocessing(self) -> PostProcessing:
        """How probabilities become the mask of the active objects and the next."""
        return self._runner.settings.postprocessing

    @postprocessing.setter
    def postprocessing(self, value: PostProcessing) -> None:
        self._set(postprocessing=value)

    @property
    def threshold(self) -> float:
        """Probability from which a pixel belongs to the object, in (0, 1)."""
        return self.postprocessing.threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        self.postprocessing = replace(self.postprocessing, threshold=value)

    @property
    def largest_component(self) -> bool:
        """Keep only the connected parts of the mask that hold a positive click."""
        return self.postprocessing.largest_component

    @largest_component.setter
    def largest_component(self, value: bool) -> None:
        self.postprocessing = replace(self.postprocessing, largest_component=value)

    @property
    def model(self) -> str:
        """Name of the model in the zoo."""
        return self._runner.settings.model

    @model.setter
    def model(self, name: str) -> None:
        self._set(model=name)

    @property
    def may_overwrite(self) -> bool:
        """Let a new object take pixels from objects that are already in the target."""
        return self._committer.may_overwrite

    @may_overwrite.setter
    def may_overwrite(self, value: bool) -> None:
        self._committer.may_overwrite = value

    def _set(self, **change: Any) -> None:
        """Change settings, and ask for the mask of every active object anew."""
        settings = replace(self._runner.settings, **change)
        if settings == self._runner.settings:
            return
        self._runner.settings = settings
        for binding in self._bindings:
            for active in binding.objects.values():
                self._runner.request(binding, active)
        self.changed.emit()

    def load_model(self) -> None:
        """Load the model before the first click needs it."""
        self._runner.load_model()

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
        self._messages.say(
            f"The ids of the labels could not be read: {in_words(error)}", show_error
        )

    def bind(self, image: Image | None) -> None:
        """Click on this image from now on; clicks on the one before are kept with it."""
        if image is self.image:
            return
        old, self.binding = self.binding, None
        if old is not None and not old.objects:
            self._unbind(old)
        if image is None:
            self._target.drop_prepared()
        if image is not None:
            known = [b for b in self._bindings if b.image is image]
            self.binding = known[0] if known else self._new_binding(image)
            self.binding.last_plane = None
        self.changed.emit()

    def show_layers(self) -> None:
        """Make the layers of the bound image, ready for clicking and committing."""
        if self.binding is None:
            return
        self.binding.preview.ensure()
        self.binding.clicks.takes_boundary = "boundary" in self.click_kinds
        self.binding.clicks.ensure()
        plane = self.binding.shown_plane
        if plane is not None:
            self._target.prepare(self.binding.image, plane)
        self.viewer.layers.selection.active = self.binding.clicks.layer("positive")
        self.changed.emit()

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
                    self._messages.warn_later(
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
        self._messages.warn_later(
            f"The image {binding.image.name} was deleted{rest}. Choose another image."
        )

    # --- clicks ----------------------------------------------------------------------------

    def click(self, world: Sequence[float], kind: ClickKind) -> None:
        """Add a click at a place of the world, on the slice that is shown."""
        if self.binding is None:
            self._messages.say("Choose an image to click on first.", show_warning)
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
        refusal = self._runner.refusal(kind, active)
        if refusal:
            self._on_refused(refusal)
        elif active is not None and active.is_finishing:
            active.waiting.append((position, kind))
        else:
            self.binding.clicks.add(kind, position)

    def _on_refused(self, reason: str) -> None:
        self._messages.say(reason[:1].upper() + reason[1:], show_warning)

    def _on_clicks(self, binding: Binding, planes: tuple[Plane, ...]) -> None:
        for plane in planes:
            self._runner.update(binding, plane)
        self.changed.emit()

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
            self._runner.drop(binding, active)
        elif self._target.can_undo:
            self._committer.undo(binding)
        self.changed.emit()

    def redo(self) -> None:
        """Do the last undone step again."""
        plane = self._plane_to_undo
        if self.binding is not None and plane is not None and self.binding.log.redo(plane):
            self._after_history(self.binding, plane)
        self.changed.emit()

    def _after_history(self, binding: Binding, plane: Plane) -> None:
        binding.clicks.ensure()
        self._runner.update(binding, plane)

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
                self._runner.withdraw(binding, active)
        self._messages.status = "Cancelled."
        self.changed.emit()

    # --- commit ----------------------------------------------------------------------------

    def finish(self) -> None:
        """Commit the active object under its id and be ready for the next."""
        binding, active = self.binding, self.active
        if binding is None or active is None:
            self._messages.say("There is no object to finish: click on one first.", show_warning)
            return
        if not active.is_finishing:
            self._committer.finish(binding, active)
            self.changed.emit()

    def correct(self, label: int) -> None:
        """Make the object with this id in the target layer the active one."""
        if self.binding is None:
            self._messages.say(NOTHING_TO_CORRECT, show_warning)
            return
        self._committer.correct(self.binding, label)
        self.changed.emit()

    # --- end -------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the viewer; active clicks stay in their layers, empty helper layers go."""
        if self._is_closed:
            return
        self._is_closed = True
        self._messages.close()
        self.worker.close()
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        self.viewer.dims.events.point.disconnect(self._on_dims)
        self.viewer.dims.events.order.disconnect(self._on_dims)
        for binding in list(self._bindings):
            self._unbind(binding)
        self.binding = None
        self._target.drop_prepared()
