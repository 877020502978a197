"""Post-processing as steps: a slider that was let go is one step, and undo moves it back."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QTimer

from napari_edgeflow._types import PostProcessing
from napari_edgeflow.annotation.commands import set_postprocessing
from napari_edgeflow.annotation.objects import PlaneIndex
from napari_edgeflow.gui.label_view import plane_index
from napari_edgeflow.gui.objects import Binding

_QUIET_MS = 300


class SettingsSteps:
    """Journals the settings once they rest, and says what a project wants them to be.

    Args:
        put: Called with settings that the window should take over.
    """

    def __init__(self, put: Callable[[PostProcessing], None]) -> None:
        self._put = put
        self._waiting: tuple[Binding, PlaneIndex, PostProcessing] | None = None
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_QUIET_MS)
        self._timer.timeout.connect(self.flush)

    def note(self, binding: Binding | None, value: PostProcessing) -> None:
        """The user chose other settings; they become a step when they rest."""
        if binding is None or binding.project is None:
            return
        self._waiting = binding, _plane(binding), value
        self._timer.start()

    def flush(self) -> None:
        """Make the step now, before another one."""
        self._timer.stop()
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return
        binding, plane, value = waiting
        if binding.project is not None:
            binding.project.do(lambda state, _store: set_postprocessing(state, value, plane))

    def follow(self, binding: Binding | None) -> None:
        """Take over what the project says for the object on the screen, once it is at rest."""
        project = None if binding is None else binding.project
        if binding is None or project is None or not project.is_open:
            return
        if self._waiting is None and not project.is_busy and project.offer is None:
            self._put(project.state.draft_on(_plane(binding)).settings)

    def close(self) -> None:
        """Save what waits, and wait no more."""
        self.flush()


def _plane(binding: Binding) -> PlaneIndex:
    active = binding.active
    plane = binding.shown_plane if active is None else active.plane
    return () if plane is None else plane_index(plane)
