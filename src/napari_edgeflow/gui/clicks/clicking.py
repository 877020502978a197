"""Clicks of the user: which are taken, what they start, and how they are withdrawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from napari.utils.notifications import show_warning

from napari_edgeflow._types import ClickKind
from napari_edgeflow.errors import RasterError
from napari_edgeflow.gui.clicks.drafts import Drafts
from napari_edgeflow.gui.clicks.objects import Binding
from napari_edgeflow.gui.clicks.runner import Runner
from napari_edgeflow.gui.clicks.settings_steps import SettingsSteps
from napari_edgeflow.gui.messages import Messages
from napari_edgeflow.gui.planes import Plane, shown_plane
from napari_edgeflow.gui.projects.project import OFFER_FIRST


class Clicking:
    """Puts clicks in the log of an image, and what the log says to the network and the project.

    Args:
        viewer: The napari viewer.
        runner: Asks for masks.
        drafts: Makes steps of clicks.
        settings: Steps of their own, made before those of clicks.
        messages: Where to say why a click is not taken.
    """

    def __init__(
        self,
        viewer: Any,
        runner: Runner,
        drafts: Drafts,
        settings: SettingsSteps,
        messages: Messages,
    ) -> None:
        self._viewer = viewer
        self._runner = runner
        self._drafts = drafts
        self._settings = settings
        self._messages = messages
        self._late: list[tuple[Sequence[float], ClickKind]] = []

    def click(self, binding: Binding | None, world: Sequence[float], kind: ClickKind) -> None:
        """Add a click at a place of the world, on the slice that is shown."""
        if binding is None:
            self._messages.say("Choose an image to click on first.", show_warning)
            return
        image = binding.image
        try:
            plane = shown_plane(image, self._viewer.dims)
            y, x = plane.yx(image.world_to_data(world))
            plane.check_contains(y, x, str(image.name))
        except RasterError as error:
            self.refuse(str(error))
            return
        position = plane.position(y, x)
        active = binding.objects.get(plane)
        refusal = self._runner.refusal(kind, active)
        if binding.project is not None and binding.project.offer is not None:
            self.refuse(OFFER_FIRST)
        elif binding.project is not None and binding.project.is_going_back:
            self._late.append((world, kind))
        elif refusal:
            self.refuse(refusal)
        elif active is not None and active.is_finishing:
            active.waiting.append((position, kind))
        else:
            binding.clicks.add(kind, position)

    def click_late(self, binding: Binding | None) -> None:
        """Make the clicks that waited for an undo, once it is through."""
        project = None if binding is None else binding.project
        if self._late and not (project is not None and project.is_going_back):
            late, self._late = self._late, []
            for world, kind in late:
                self.click(binding, world, kind)

    def refuse(self, reason: str) -> None:
        """Say why a click is not taken."""
        self._messages.say(reason[:1].upper() + reason[1:], show_warning)

    def follow_log(self, binding: Binding, planes: Iterable[Plane]) -> None:
        """Ask for masks and make steps of what the log holds on these planes now."""
        self._settings.flush()
        for plane in planes:
            self._runner.update(binding, plane)
            self._drafts.record(binding, plane)

    def withdraw(self, bindings: Iterable[Binding]) -> None:
        """Stop the network; take back the clicks that have no mask yet."""
        self._runner.worker.cancel()
        for binding in bindings:
            for active in list(binding.objects.values()):
                if active.is_pending:
                    self._runner.withdraw(binding, active)
                    self._drafts.record(binding, active.plane)
        self._messages.status = "Cancelled."
