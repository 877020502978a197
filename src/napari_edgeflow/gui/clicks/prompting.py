"""Objects that a file asks for with clicks: one after the other, each looked at and finished."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari.utils.notifications import show_info, show_warning
from psygnal import Signal

from napari_edgeflow._types import Click, Window
from napari_edgeflow.annotation.changes import Change
from napari_edgeflow.annotation.objects import PlaneIndex
from napari_edgeflow.gui.labels.label_view import plane_of
from napari_edgeflow.gui.look import zoom_to
from napari_edgeflow.gui.projects.link import ProjectLink

_SIDE_PX = 100
_FINISHED = "commit"


class Prompts:
    """A queue of clicks; finishing an object brings up the next.

    Args:
        viewer: The napari viewer.
        controller: Of the window.
    """

    changed = Signal()
    """Another prompt, or none any more."""

    def __init__(self, viewer: Any, controller: Any) -> None:
        self._viewer, self._controller = viewer, controller
        self._groups: tuple[tuple[Click, ...], ...] = ()
        self._plane: PlaneIndex = ()
        self._at = -1
        self._project: Any = None
        self._link = ProjectLink(controller, self._on_change)

    @property
    def is_active(self) -> bool:
        """True while there are prompts to go through."""
        return bool(self._groups)

    @property
    def line(self) -> str:
        """Which prompt is on the screen, in words."""
        return f"Prompt {self._at + 1} of {len(self._groups)}" if self.is_active else ""

    def begin(self, groups: Sequence[tuple[Click, ...]], plane: PlaneIndex) -> None:
        """Go through these, each a list of clicks on a plane of the bound image."""
        self._groups, self._plane, self._at = tuple(groups), plane, -1
        self._project = self._controller.project
        self._link.start()
        self.next()

    def next(self) -> None:
        """Put the next prompt's clicks on the image, in view; the one before is left undone."""
        if not self.is_active:
            return
        if self._controller.project is not self._project:
            self.stop()
            return
        active = self._controller.active
        if active is not None and not active.is_finishing:
            if self._at < 0:
                show_warning("Finish or reset the active object first.")
                self.stop()
                return
            self._controller.reset()
        self._at += 1
        if self._at >= len(self._groups):
            n = len(self._groups)
            self.stop()
            show_info(f"All {n} prompts were gone through.")
            return
        self._show(self._groups[self._at])
        self.changed.emit()

    def stop(self) -> None:
        """Forget the prompts that are left."""
        self._groups, self._at, self._project = (), -1, None
        self.changed.emit()

    def _show(self, clicks: Sequence[Click]) -> None:
        image = self._controller.image
        rows, columns = [c.pixel[0] for c in clicks], [c.pixel[1] for c in clicks]
        box = Window(
            min(rows) - _SIDE_PX, min(columns) - _SIDE_PX,
            max(rows) + _SIDE_PX, max(columns) + _SIDE_PX,
        )  # fmt: skip
        zoom_to(self._viewer, image, box, self._plane)
        plane = plane_of(self._plane, image)
        for click in clicks:
            world = image.data_to_world(plane.position(click.y, click.x))
            self._controller.click(world, click.kind)

    def _on_change(self, change: Change | None) -> None:
        if not self.is_active:
            return
        if self._controller.project is not self._project:
            self.stop()
        elif change is not None and change.kind == _FINISHED and self._is_done(change):
            self.next()

    def _is_done(self, change: Change) -> bool:
        """True for an object that was finished, False for one that was taken back."""
        objects = self._project.state.objects
        return all(objects.get(label) == pair[1] for label, pair in change.objects.items())

    def close(self) -> None:
        """Follow nothing any more."""
        self._groups = ()
        self._link.close()
