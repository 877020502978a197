"""Layers and clicks on one side, sessions and projects in their workers on the other; no widgets.

The click log is the truth of what is being clicked. Whatever changes it (a click on the canvas, a
point moved or deleted in its layer) sends a request with all clicks of the object to the network's
worker, and a step to the project; undo and redo go through the project and come back to the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from napari.layers import Image, Labels
from napari.utils.notifications import show_warning
from psygnal import Signal

from napari_edgeflow._types import Click, ClickKind, PostProcessing, Prediction
from napari_edgeflow.gui.clicks.bindings import Bindings
from napari_edgeflow.gui.clicks.clicking import Clicking
from napari_edgeflow.gui.clicks.drafts import Drafts
from napari_edgeflow.gui.clicks.engine import Engine, PredictorFactory, SessionFactory
from napari_edgeflow.gui.clicks.following import Following
from napari_edgeflow.gui.clicks.objects import ActiveObject, Binding, ClickTimings
from napari_edgeflow.gui.clicks.preview import is_helper
from napari_edgeflow.gui.clicks.refining import Refining
from napari_edgeflow.gui.clicks.runner import PEEK, Runner
from napari_edgeflow.gui.clicks.settings_steps import SettingsSteps
from napari_edgeflow.gui.clicks.taking_up import TakingUp
from napari_edgeflow.gui.clicks.targets import Targets
from napari_edgeflow.gui.messages import Messages
from napari_edgeflow.gui.planes import Plane
from napari_edgeflow.gui.projects.committer import Committer
from napari_edgeflow.gui.projects.overlap import Ask, ChosenRule
from napari_edgeflow.gui.projects.project import Project
from napari_edgeflow.gui.projects.projects import Projects


class Controller:
    """Binds an image to sessions; the widget and the tests drive it."""

    changed = Signal()
    """Something that a widget shows has changed."""
    selection_changed = Signal(tuple)
    """Ids of the objects that are selected now."""

    def __init__(
        self,
        viewer: Any,
        predictor_factory: PredictorFactory | None = None,
        session_factory: SessionFactory | None = None,
    ) -> None:
        self.viewer = viewer
        self._messages = Messages(self.changed.emit)
        self._runner = Runner(
            Engine(predictor_factory, session_factory),
            self._messages,
            lambda binding, active: self._committer.commit(binding, active),
        )
        self.worker = self._runner.worker
        self.projects = Projects(viewer, self._messages, self._on_new_project)
        self.refining = Refining(self, self._runner, self._messages)
        self._drafts = Drafts(self._runner, self._messages)
        self._committer = Committer(self.projects, self._drafts, self._runner, self._messages)
        self._bindings = Bindings(
            viewer, self.worker, self.projects, self._messages, self._on_new_binding
        )
        self.taking_up = TakingUp(viewer, self._messages)
        self._settings = SettingsSteps(lambda value: self._set(postprocessing=value))
        self._clicking = Clicking(
            viewer, self._runner, self._drafts, self._settings, self._messages
        )
        self._following = Following(viewer, self._drafts, lambda: self.binding, self._on_step)
        self._targets = Targets(self.projects)
        self._class_id = 1
        self._selected_ids: tuple[int, ...] = ()
        self._is_closed = False
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.dims.events.point.connect(self._on_dims)
        viewer.dims.events.order.connect(self._on_dims)

    # --- what the widget shows -------------------------------------------------------------

    @property
    def binding(self) -> Binding | None:
        """What is kept for the image that is clicked on."""
        return self._bindings.bound

    @property
    def image(self) -> Image | None:
        """The image that is clicked on."""
        return self.binding.image if self.binding else None

    @property
    def project(self) -> Project | None:
        """The annotations of that image."""
        return self.binding.project if self.binding else None

    @property
    def active(self) -> ActiveObject | None:
        """The object on the slice that is shown; else the one clicked last."""
        return self.binding.active if self.binding else None

    @property
    def is_busy(self) -> bool:
        """True while the network runs or steps are being saved."""
        return self.worker.is_busy or self.projects.worker.is_busy

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
        label = self.project.next_id if self.project else 1
        return f"Next object: {label}" if active is None else active.in_words(label)

    def is_preview(self, layer: Any) -> bool:
        """True for the helper layers that show masks in the making."""
        return is_helper(layer)

    # --- settings --------------------------------------------------------------------------

    @property
    def postprocessing(self) -> PostProcessing:
        """How probabilities become the mask of the active objects and the next."""
        return self._runner.settings.postprocessing

    @postprocessing.setter
    def postprocessing(self, value: PostProcessing) -> None:
        if value != self.postprocessing:
            self._set(postprocessing=value)
            self.projects.settings = value
            self._settings.note(self.binding, value)

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
    def overlap_rule(self) -> ChosenRule:
        """Who keeps pixels that a new object and others claim."""
        return self._committer.rule

    @overlap_rule.setter
    def overlap_rule(self, value: ChosenRule) -> None:
        self._committer.rule = value

    def ask_overlaps_by(self, ask: Ask) -> None:
        """Put the question about overlaps in another way than in a small window."""
        self._committer.ask = ask

    @property
    def class_id(self) -> int:
        """Class of the next object; the first one when the class chosen before is gone."""
        classes = self.project.state.classes if self.project else ()
        known = [one.id for one in classes]
        return self._class_id if self._class_id in known or not known else known[0]

    @class_id.setter
    def class_id(self, value: int) -> None:
        if self.project is not None and self.project.is_open:
            self.project.state.classes.get(value)
        self._class_id = value
        self.changed.emit()

    @property
    def selected_ids(self) -> tuple[int, ...]:
        """Ids of the objects that the user selected, in a list or on the canvas."""
        return self._selected_ids

    @selected_ids.setter
    def selected_ids(self, ids: Sequence[int]) -> None:
        known = self.project.state.objects if self.project else {}
        chosen = tuple(label for label in dict.fromkeys(ids) if label in known)
        if chosen != self._selected_ids:
            self._selected_ids = chosen
            self.selection_changed.emit(chosen)

    def _set(self, **change: Any) -> None:
        """Change settings, and ask for the mask of every active object anew."""
        settings = replace(self._runner.settings, **change)
        if settings == self._runner.settings:
            return
        self._runner.settings = settings
        self._ask_anew()

    def look_again(self) -> None:
        """Ask for the masks of all active objects anew: the image has other bands."""
        self._ask_anew()

    def _ask_anew(self) -> None:
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
        """The Labels layer that objects go to; None: a new one with the next object."""
        return self._targets.of(self.binding)

    @target.setter
    def target(self, layer: Labels | None) -> None:
        if layer is not self.target:
            self._targets.choose(self.binding, layer)
            self.changed.emit()

    def bind(self, image: Image | None) -> None:
        """Click on this image from now on; clicks on the one before are kept with it."""
        if image is self.image:
            return
        shared = self._targets.shared(image)
        self._bindings.bind(image)
        self._targets.settle(self.binding, shared)
        self.selected_ids = ()
        self.changed.emit()

    def dismiss(self, image: Image) -> None:
        """Close an image with its project and the layers made for it; the image itself stays."""
        self._bindings.dismiss(image)
        self.changed.emit()

    def show_layers(self) -> None:
        """Make the layers of the bound image, ready for clicking and committing."""
        if self.binding is None:
            return
        self.binding.preview.ensure()
        self.binding.clicks.takes_boundary = "boundary" in self.click_kinds
        self.binding.clicks.ensure()
        self.projects.prepare(self.binding)
        self.viewer.layers.selection.active = self.binding.clicks.layer("positive")
        self.changed.emit()

    def _on_new_binding(self, binding: Binding) -> None:
        binding.clicks.changed.connect(partial(self._on_clicks, binding))
        binding.clicks.refused.connect(self._clicking.refuse)

    def _on_removed(self, event: Any) -> None:
        self._targets.forget(event.value)
        self._bindings.forget(event.value)
        self.changed.emit()

    # --- projects --------------------------------------------------------------------------

    def _on_new_project(self, binding: Binding, project: Project) -> None:
        self._following.follow(binding, project)
        project.status_changed.connect(self._on_status, unique=True)
        project.paint_as(lambda: self.class_id)

    def _on_status(self) -> None:
        """Steps came to rest: settings follow, and clicks that waited for an undo are made."""
        self._settings.follow(self.binding)
        self._clicking.click_late(self.binding)
        self.changed.emit()

    def _on_step(self, binding: Binding) -> None:
        """A step came through: objects that are gone are not selected any more."""
        if binding is self.binding:
            self.selected_ids = self._selected_ids
        self.changed.emit()

    # --- clicks ----------------------------------------------------------------------------

    def click(self, world: Sequence[float], kind: ClickKind) -> None:
        """Add a click at a place of the world, on the slice that is shown."""
        self._clicking.click(self.binding, world, kind)

    def peek(
        self, plane: Plane, click: Click, on_mask: Callable[[Prediction | None], None]
    ) -> None:
        """Work out what a click would give, when the worker has nothing else to do."""
        if self.binding is not None:
            self._runner.peek(self.binding, plane, click, on_mask)

    def stop_peeking(self) -> None:
        """Make room for what the user does."""
        self.worker.cancel(PEEK)

    def _on_clicks(self, binding: Binding, planes: tuple[Plane, ...]) -> None:
        self._clicking.follow_log(binding, planes)
        self.changed.emit()

    def _on_dims(self, _event: Any = None) -> None:
        if self.binding is not None:
            self.binding.show_preview()
            self._settings.follow(self.binding)
            self.changed.emit()

    # --- undo, reset, cancel ---------------------------------------------------------------

    def undo(self) -> None:
        """Take back the last step, whatever it was."""
        active = self.active
        if self.project is not None and not (active is not None and active.is_finishing):
            self._settings.flush()
            self.project.undo()

    def redo(self) -> None:
        """Do the last undone step again."""
        active = self.active
        if self.project is not None and not (active is not None and active.is_finishing):
            self._settings.flush()
            self.project.redo()

    def reset(self) -> None:
        """Drop all clicks of the object, as one step that undo takes back."""
        binding, active = self.binding, self.active
        if binding is None or active is None or active.is_finishing:
            return
        self._drafts.drop(binding, active)
        self.changed.emit()

    def cancel(self) -> None:
        """Stop the network; clicks that have no mask yet are withdrawn (undo brings them back)."""
        self._clicking.withdraw(self._bindings)
        self.changed.emit()

    # --- objects ---------------------------------------------------------------------------

    def finish(self) -> None:
        """Commit the active object under its id and be ready for the next."""
        binding, active = self.binding, self.active
        if binding is None or active is None:
            self._messages.say("There is no object to finish: click on one first.", show_warning)
            return
        if not active.is_finishing:
            self._settings.flush()
            self._committer.finish(binding, active, self.class_id)
            self.changed.emit()

    def take_up(self, object_id: int) -> None:
        """Make a finished object the active one again, with its clicks; its plane is shown."""
        self._settings.flush()
        self.taking_up.take_up(self.binding, object_id)

    # --- end -------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the viewer; active clicks stay in their layers, empty helper layers go."""
        if self._is_closed:
            return
        self._is_closed = True
        self._settings.close()
        self._messages.close()
        self.worker.close()
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        self.viewer.dims.events.point.disconnect(self._on_dims)
        self.viewer.dims.events.order.disconnect(self._on_dims)
        self._bindings.close()
        self.projects.close_all()
