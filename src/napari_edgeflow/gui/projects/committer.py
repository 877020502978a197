"""Active objects become finished ones: steps of the project that undo takes back."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from napari.utils.notifications import show_error

from napari_edgeflow.annotation.changes import Change, Draft, State
from napari_edgeflow.annotation.commands import NewObject
from napari_edgeflow.annotation.large import commit_prediction
from napari_edgeflow.annotation.store import LabelStore, OverlapRule
from napari_edgeflow.gui.clicks.drafts import Drafts
from napari_edgeflow.gui.clicks.objects import ActiveObject, Binding
from napari_edgeflow.gui.clicks.runner import Runner
from napari_edgeflow.gui.labels.label_view import plane_index
from napari_edgeflow.gui.messages import Messages, in_words
from napari_edgeflow.gui.projects.overlap import (
    Ask,
    ChosenRule,
    OverlapFoundError,
    ask_in_window,
    check_overlaps,
)
from napari_edgeflow.gui.projects.project import Project
from napari_edgeflow.gui.projects.projects import Projects
from napari_edgeflow.gui.projects.work import Make


class Committer:
    """Writes active objects to their project.

    Attributes:
        rule: Who keeps pixels that a new object and others claim; ``"ask"`` asks each time.
        ask: Puts the question to the user.

    Args:
        projects: Of the images.
        drafts: Of the projects.
        runner: Asks for masks.
        messages: Where to say what happened.
    """

    def __init__(
        self, projects: Projects, drafts: Drafts, runner: Runner, messages: Messages
    ) -> None:
        self.rule: ChosenRule = "old_protected"
        self.ask: Ask = ask_in_window
        self._projects = projects
        self._drafts = drafts
        self._runner = runner
        self._messages = messages

    def finish(self, binding: Binding, active: ActiveObject, class_id: int) -> None:
        """Commit the object now, or as soon as its mask is there."""
        active.is_finishing, active.class_id = True, class_id
        if active.is_pending:
            return
        if active.predicted_clicks == binding.log.on_plane(active.plane):
            self.commit(binding, active)
        else:
            self._runner.request(binding, active)

    def commit(
        self, binding: Binding, active: ActiveObject, rule: ChosenRule | None = None
    ) -> None:
        """Make a step of the mask that the object has, by another rule when one is given."""
        try:
            if active.prediction is None:
                raise ValueError("expected a mask to commit, got none; click on the object first")
            project = self._projects.ready(binding)
        except ValueError as error:
            self._on_failed(active, error)
            return
        project.do(
            self._order(binding, active, rule or self.rule),
            partial(self._on_done, binding, active, project),
            partial(self._on_refused, binding, active),
        )

    def _order(self, binding: Binding, active: ActiveObject, rule: ChosenRule) -> Make:
        """What the worker does: a commit of the object as it is now."""
        prediction, drafts = active.prediction, self._drafts
        settings = self._runner.settings
        logged = binding.log.on_plane(active.plane)
        is_new = active.start is None and logged
        draft = Draft(
            tuple(click.click for click in logged),
            settings.postprocessing,
            plane_index(active.plane),
            active.corrects,
            logged[0].field_of_view if is_new else active.field_of_view,
            active.start is not None,
        )

        def make(state: State, store: LabelStore) -> Change:
            if prediction is None:
                raise ValueError("expected a mask to commit, got none; click on the object first")
            old = None if draft.corrects is None else state.objects.get(draft.corrects)
            class_id = active.class_id if old is None else old.class_id
            about = NewObject(class_id, settings.model, plane=draft.plane)
            now = replace(state, drafts={**state.drafts, draft.plane: draft})
            if rule == "ask":
                check_overlaps(state, store, prediction, draft.corrects, draft.plane)
            how: OverlapRule = "old_protected" if rule == "ask" else rule
            return drafts.claim(commit_prediction(now, store, prediction, about, how))

        return make

    def _on_done(
        self, binding: Binding, active: ActiveObject, project: Project, change: Change
    ) -> None:
        wanted = 0 if active.prediction is None else active.prediction.area_px
        waiting = list(active.waiting)
        active.stop()
        binding.forget(active)
        self._messages.status = _report(change, wanted, project)
        for position, kind in waiting:
            binding.clicks.add(kind, position)
        self._messages.on_change()

    def _on_refused(self, binding: Binding, active: ActiveObject, error: Exception) -> None:
        if not isinstance(error, OverlapFoundError):
            self._on_failed(active, error)
            return

        def answer(rule: OverlapRule | None) -> None:
            if binding.objects.get(active.plane) is not active:
                return
            if rule is None:
                active.stop()
                self._messages.on_change()
            else:
                self.commit(binding, active, rule)

        self.ask(str(error), answer)

    def _on_failed(self, active: ActiveObject, error: Exception) -> None:
        self._messages.say(f"Not committed: {in_words(error)}{active.stop()}", show_error)


def _report(change: Change, wanted_px: int, project: Project) -> str:
    label = next(iter(change.objects))
    record = change.objects[label][1]
    lost = wanted_px - (0 if record is None else record.area_px)
    rest = f"; {lost} px stayed with its neighbours" if lost > 0 else ""
    layer = project.layer
    return f"Object {label} written to {layer.name if layer else 'the project'}{rest}."
