"""Keeps the project's drafts and the window's active objects the same.

What the user clicks becomes a step; what undo, redo or another panel makes of a draft comes back
to click log, Points layers and preview.
"""

from __future__ import annotations

from collections.abc import Callable

from napari.utils.notifications import show_error

from napari_edgeflow._types import ClickKind
from napari_edgeflow.annotation.changes import Change, Draft, State
from napari_edgeflow.annotation.commands import set_clicks, set_draft
from napari_edgeflow.gui.clicks.engine import StartMask
from napari_edgeflow.gui.clicks.objects import ActiveObject, Binding
from napari_edgeflow.gui.clicks.runner import Runner
from napari_edgeflow.gui.labels.label_view import plane_index, plane_of
from napari_edgeflow.gui.messages import Messages, in_words
from napari_edgeflow.gui.planes import Plane, visible_side
from napari_edgeflow.gui.projects.project import Project


class Drafts:
    """Writes clicks to the project and drafts to the window.

    Args:
        runner: Asks for masks.
        messages: Where to say what happened.
    """

    def __init__(self, runner: Runner, messages: Messages) -> None:
        self._runner = runner
        self._messages = messages
        self._own: list[Change] = []
        self._waiting: list[tuple[Binding, tuple[float, ...], ClickKind]] = []

    # --- from the window to the project ------------------------------------------------------

    def record(self, binding: Binding, plane: Plane) -> None:
        """Make a step of the clicks that a plane has now."""
        active = binding.objects.get(plane)
        logged = binding.log.on_plane(plane)
        index = plane_index(plane)
        clicks = tuple(click.click for click in logged)
        view = logged[0].field_of_view if logged else None
        if active is not None and active.start is not None:
            view = active.field_of_view
        self._do(binding, lambda state: set_clicks(state, clicks, index, view))

    def drop(self, binding: Binding, active: ActiveObject) -> None:
        """Make a step of giving up the object of a plane, clicks and correction both."""
        index = plane_index(active.plane)

        def make(state: State) -> Change:
            blank = Draft(settings=state.settings, plane=index)
            return set_draft(state, blank, "reset the object")

        binding.log.put(active.plane, ())
        binding.clicks.ensure()
        self._runner.drop(binding, active)
        self._do(binding, make)

    def _do(self, binding: Binding, make: Callable[[State], Change]) -> None:
        if binding.project is None:
            return
        made: list[Change] = []

        def own(state: State, _store: object) -> Change:
            made.append(make(state))
            self._own.extend(made)
            return made[0]

        def failed(error: Exception) -> None:
            self._own = [change for change in self._own if change not in made]
            self._messages.say(f"The clicks are not saved: {in_words(error)}", show_error)

        binding.project.do(own, on_failed=failed)

    # --- from the project to the window ------------------------------------------------------

    def is_own(self, change: Change) -> bool:
        """True once for a change that the window shows already."""
        found = [own for own in self._own if own is change]
        self._own = [own for own in self._own if own is not change]
        return bool(found)

    def claim(self, change: Change) -> Change:
        """The change itself, which the window will show without ``show``."""
        self._own.append(change)
        return change

    def show(self, binding: Binding, project: Project, plane: Plane) -> None:
        """Make the window show the draft of a plane."""
        draft = project.state.draft_on(plane_index(plane))
        active = binding.objects.get(plane)
        if draft.is_blank:
            binding.log.put(plane, ())
            binding.clicks.write()
            if active is not None:
                self._runner.drop(binding, active)
            return
        start = _start_mask(project, draft)
        if (
            active is None
            or active.corrects != draft.corrects
            or (start is None) != (active.start is None)
        ):
            if active is not None:
                self._runner.drop(binding, active)
            active = self._runner.start(binding, plane, draft.corrects, start)
        if draft.field_of_view is not None:
            active.field_of_view = draft.field_of_view
        view = active.field_of_view or visible_side(binding.viewer, binding.image, plane)
        binding.log.replace(plane, draft.clicks, view)
        binding.clicks.ensure()
        binding.last_plane = plane
        self._runner.request(binding, active)

    def show_all(self, binding: Binding, project: Project) -> None:
        """Make the window show every draft, after a project was opened."""
        planes = {plane_of(index, binding.image) for index in project.state.drafts}
        for plane in planes | set(binding.log.planes):
            if plane in planes or not project.is_busy:
                self.show(binding, project, plane)


def _start_mask(project: Project, draft: Draft) -> StartMask | None:
    """The mask that a correction starts from; None where the clicks give all of it."""
    record = None if draft.corrects is None else project.state.objects.get(draft.corrects)
    if record is None or not draft.is_from_mask:
        return None
    return StartMask(*project.mask_of(record))
