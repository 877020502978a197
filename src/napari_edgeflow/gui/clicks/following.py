"""The window follows its projects: clicks and view are brought up to each step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from napari_edgeflow.annotation.changes import Change, Draft
from napari_edgeflow.gui.clicks.drafts import Drafts
from napari_edgeflow.gui.clicks.objects import Binding
from napari_edgeflow.gui.labels.label_view import plane_of
from napari_edgeflow.gui.planes import show_plane
from napari_edgeflow.gui.projects.project import Project


class Following:
    """Listens to the steps of every project that is bound.

    Args:
        viewer: The napari viewer.
        drafts: Shows the drafts of a project.
        bound: What the window shows now.
        on_step: Called with the binding after it was brought up to a step.
    """

    def __init__(
        self,
        viewer: Any,
        drafts: Drafts,
        bound: Callable[[], Binding | None],
        on_step: Callable[[Binding], None],
    ) -> None:
        self._viewer = viewer
        self._drafts = drafts
        self._bound = bound
        self._after = on_step
        self._slots: dict[int, Callable[[Change | None], None]] = {}

    def follow(self, binding: Binding, project: Project) -> None:
        """Listen to a project for this binding, and for no other any more."""
        old = self._slots.pop(id(project), None)
        if old is not None:
            project.changed.disconnect(old)
        self._slots[id(project)] = slot = partial(self._on_step, binding, project)
        project.changed.connect(slot)

    def _on_step(self, binding: Binding, project: Project, change: Change | None) -> None:
        if binding.project is not project:
            return
        if change is None:
            self._drafts.show_all(binding, project)
        elif change.draft is not None and not self._drafts.is_own(change):
            plane = plane_of(change.draft[0].plane, binding.image)
            if binding is self._bound():
                show_plane(self._viewer, binding.image, plane)
            if _is_other(*change.draft):
                self._drafts.show(binding, project, plane)
        self._after(binding)


def _is_other(before: Draft, after: Draft) -> bool:
    """True when the draft is another object or has other clicks, not just other settings.

    Clicks that came after a change of settings are in the window, but not yet in the project.
    """
    return replace(before, settings=after.settings) != after
