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
from napari_edgeflow.annotation.changes import Change
from napari_edgeflow.errors import RasterError
from napari_edgeflow.gui.bindings import Bindings
from napari_edgeflow.gui.commit import check_target
from napari_edgeflow.gui.committer import Committer
from napari_edgeflow.gui.drafts import Drafts
from napari_edgeflow.gui.engine import Engine, PredictorFactory, SessionFactory
from napari_edgeflow.gui.label_view import plane_of
from napari_edgeflow.gui.messages import Messages
from napari_edgeflow.gui.objects import ActiveObject, Binding, ClickTimings
from napari_edgeflow.gui.overlap import Ask, ChosenRule
from napari_edgeflow.gui.planes import Plane, layer_shape, show_plane, shown_plane
from napari_edgeflow.gui.preview import is_helper
from napari_edgeflow.gui.project import OFFER_FIRST, Project
from napari_edgeflow.gui.projects import Projects
from napari_edgeflow.gui.refining import Refining
from napari_edgeflow.gui.runner import PEEK, Runner
from napari_edgeflow.gui.settings_steps import SettingsSteps
from napari_edgeflow.gui.taking_up import TakingUp


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
        self._slots: dict[int, Callable[[Change | None], None]] = {}
        self._late: list[tuple[Sequence[float], ClickKind]] = []
        self._chosen: Labels | None = None
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
        if active is None:
            return f"Next object: {label}"
        if active.corrects is not None:
            return f"Correcting object {active.corrects} on {active.plane.name}"
        return f"Object {label} on {active.plane.name}"

    @property
    def can_undo(self) -> bool:
        """True when undo would do something."""
        return self.project is not None and self.project.can_undo

    @property
    def can_redo(self) -> bool:
        """True when redo would do something."""
        return self.project is not None and self.project.can_redo

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

    @property
    def may_overwrite(self) -> bool:
        """True when a new object takes pixels from others without a question."""
        return self.overlap_rule == "new_on_top"

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
        for binding in self._bindings:
            for active in binding.objects.values():
                self._runner.request(binding, active)
        self.changed.emit()

    def look_again(self) -> None:
        """Ask for the masks of all active objects anew: the image has other bands."""
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
        return self.project.layer if self.project else self._chosen

    @target.setter
    def target(self, layer: Labels | None) -> None:
        binding = self.binding
        if layer is self.target:
            return
        if binding is None:
            self._chosen = layer
        elif layer is None:
            self.projects.begin_anew(binding)
        else:
            self.projects.adopt(binding, layer)
        self.changed.emit()

    def bind(self, image: Image | None) -> None:
        """Click on this image from now on; clicks on the one before are kept with it."""
        if image is self.image:
            return
        shared = self._shared_layer(image)
        self._bindings.bind(image)
        if self.binding is not None and self.binding.project is None:
            if shared is None:
                self.projects.of(self.binding)
            else:
                self.projects.adopt(self.binding, shared)
        self._chosen = None
        self.selected_ids = ()
        self.changed.emit()

    def dismiss(self, image: Image) -> None:
        """Close an image with its project and the layers made for it; the image itself stays."""
        self._bindings.dismiss(image)
        self.changed.emit()

    def _shared_layer(self, image: Image | None) -> Labels | None:
        """A layer that was chosen before there was an image, when it fits the image."""
        if image is None or self._chosen is None:
            return None
        try:
            check_target(self._chosen, layer_shape(image))
        except ValueError:
            return None
        return self._chosen

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
        binding.clicks.refused.connect(self._on_refused)

    def _on_removed(self, event: Any) -> None:
        if event.value is self._chosen:
            self._chosen = None
        self._bindings.forget(event.value)
        self.changed.emit()

    # --- projects --------------------------------------------------------------------------

    def _on_new_project(self, binding: Binding, project: Project) -> None:
        old = self._slots.pop(id(project), None)
        if old is not None:
            project.changed.disconnect(old)
        self._slots[id(project)] = slot = partial(self._on_step, binding, project)
        project.changed.connect(slot)
        project.status_changed.connect(self._on_status, unique=True)
        project.paint_as(lambda: self.class_id)

    def _on_status(self) -> None:
        """Steps came to rest: settings follow, and clicks that waited for an undo are made."""
        self._settings.follow(self.binding)
        if self._late and not (self.project is not None and self.project.is_going_back):
            late, self._late = self._late, []
            for world, kind in late:
                self.click(world, kind)
        self.changed.emit()

    def _on_step(self, binding: Binding, project: Project, change: Change | None) -> None:
        """A step came through: bring clicks, selection and view up to it."""
        if binding.project is not project:
            return
        if change is None:
            self._drafts.show_all(binding, project)
        elif change.draft is not None and not self._drafts.is_own(change):
            plane = plane_of(change.draft[0].plane, binding.image)
            if binding is self.binding:
                show_plane(self.viewer, binding.image, plane)
            self._drafts.show(binding, project, plane)
        if binding is self.binding:
            self.selected_ids = self._selected_ids
        self.changed.emit()

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
        if self.project is not None and self.project.offer is not None:
            self._on_refused(OFFER_FIRST)
        elif self.project is not None and self.project.is_going_back:
            self._late.append((world, kind))
        elif refusal:
            self._on_refused(refusal)
        elif active is not None and active.is_finishing:
            active.waiting.append((position, kind))
        else:
            self.binding.clicks.add(kind, position)

    def peek(
        self, plane: Plane, click: Click, on_mask: Callable[[Prediction | None], None]
    ) -> None:
        """Work out what a click would give, when the worker has nothing else to do."""
        if self.binding is not None:
            self._runner.peek(self.binding, plane, click, on_mask)

    def stop_peeking(self) -> None:
        """Make room for what the user does."""
        self.worker.cancel(PEEK)

    def _on_refused(self, reason: str) -> None:
        self._messages.say(reason[:1].upper() + reason[1:], show_warning)

    def _on_clicks(self, binding: Binding, planes: tuple[Plane, ...]) -> None:
        self._settings.flush()
        for plane in planes:
            self._runner.update(binding, plane)
            self._drafts.record(binding, plane)
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
        self.worker.cancel()
        for binding in self._bindings:
            for active in list(binding.objects.values()):
                if active.is_pending:
                    self._runner.withdraw(binding, active)
                    self._drafts.record(binding, active.plane)
        self._messages.status = "Cancelled."
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
