"""Post-processing as steps: a slider that was let go is one step, and undo moves it back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from qtpy.QtCore import QTimer

from napari_edgeflow._types import PostProcessing
from napari_edgeflow.annotation.commands import set_postprocessing
from napari_edgeflow.annotation.objects import PlaneIndex
from napari_edgeflow.gui.clicks.objects import Binding
from napari_edgeflow.gui.labels.label_view import plane_index

_QUIET_MS = 300


class SettingsSteps:
    """Journals the settings once they rest, and says what a project wants them to be.

    Args:
        put: Called with settings that the window should take over.
    """

    def __init__(self, put: Callable[[PostProcessing], None]) -> None:
        self._put = put
        self._waiting: tuple[Binding, PlaneIndex, PostProcessing] | None = None
        timer = QTimer()
        timer.setSingleShot(True)
        timer.setInterval(_QUIET_MS)
        timer.timeout.connect(self.flush)
        self._timer: QTimer | None = timer

    def note(self, binding: Binding | None, value: PostProcessing) -> None:
        """The user chose other settings; they become a step when they rest."""
        plane = None if binding is None or binding.project is None else _plane(binding)
        if binding is not None and plane is not None and self._timer is not None:
            self._waiting = binding, plane, value
            self._timer.start()

    def flush(self) -> None:
        """Make the step now, before another one."""
        if self._timer is not None:
            with suppress(RuntimeError):
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
        plane = _plane(binding)
        is_at_rest = self._waiting is None and not project.is_busy and project.offer is None
        if is_at_rest and plane is not None:
            self._put(project.state.draft_on(plane).settings)

    def close(self) -> None:
        """Save what waits, and wait no more; the timer ends here, on the Qt thread."""
        self.flush()
        timer, self._timer = self._timer, None
        if timer is not None:
            with suppress(RuntimeError):  # Qt may have ended first
                timer.deleteLater()


def _plane(binding: Binding) -> PlaneIndex | None:
    """The plane of the object that is shown, else the plane itself; None in the 3-D view."""
    active = binding.active
    plane = binding.shown_plane if active is None else active.plane
    return None if plane is None else plane_index(plane)
