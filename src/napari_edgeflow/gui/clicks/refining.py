"""The outline of the object being clicked, drawn again at native resolution in the worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined]

from napari_edgeflow.gui.clicks.engine import Request, Result
from napari_edgeflow.gui.clicks.objects import ActiveObject, Binding
from napari_edgeflow.gui.clicks.runner import Runner
from napari_edgeflow.gui.messages import Messages

WORTHWHILE_GRAIN_PX = 2.0
"""As of ``inference.refine``, which loads torch."""


class HasActive(Protocol):
    """What is asked of the controller."""

    @property
    def binding(self) -> Binding | None:
        """The image that is clicked on."""

    @property
    def active(self) -> ActiveObject | None:
        """The object that is clicked."""


class Refining(QObject):  # type: ignore[misc, unused-ignore]
    """Starts, stops and takes back the refinement of the active object.

    A click, undo or another object's work in the same place stops it, as any later request
    replaces the one before.

    Args:
        controller: Knows the active object.
        runner: Asks the worker.
        messages: Where to say what happened.
    """

    progressed = Signal(int, int)
    """Tiles done, and an estimate of all; on the Qt thread."""
    _ended = Signal()

    def __init__(self, controller: HasActive, runner: Runner, messages: Messages) -> None:
        super().__init__()
        self._controller = controller
        self._runner = runner
        self._messages = messages
        self._is_running = False
        self._ended.connect(self._on_ended, Qt.ConnectionType.QueuedConnection)

    @property
    def grain_px(self) -> float:
        """Side in pixels of what the network saw as one pixel; 1 without an object."""
        active = self._controller.active
        return active.prediction.grain_px if active and active.prediction else 1.0

    @property
    def can_start(self) -> bool:
        """True when the active object was found at half the raster's resolution, or less."""
        active = self._controller.active
        is_idle = active is not None and not active.is_pending and not active.is_finishing
        return is_idle and self.grain_px >= WORTHWHILE_GRAIN_PX

    @property
    def is_refined(self) -> bool:
        """True when the active object's outline was refined."""
        active = self._controller.active
        return bool(active and active.prediction and active.prediction.is_refined)

    @property
    def is_running(self) -> bool:
        """True while tiles are looked at."""
        active = self._controller.active
        return self._is_running and active is not None and active.is_pending

    def start(self) -> None:
        """Refine the active object; the preview shows the outline when all is done."""
        if not self.can_start:
            return
        self._is_running = True
        self._ask(self._run)
        self._messages.status = "Refining the outline…"
        self._messages.on_change()

    def cancel(self) -> None:
        """Stop; the outline stays as it was."""
        active = self._controller.active
        if active is None or not self.is_running:
            return
        self._runner.worker.cancel(active.id)
        self._is_running = active.is_pending = False
        self._messages.status = "Refinement cancelled; the outline is as it was."
        self._messages.on_change()

    def take_back(self) -> None:
        """The outline as it was before."""
        if self.is_refined:
            self._ask(self._runner.engine.unrefine)

    def _ask(self, run: Callable[[Request, Callable[[], bool]], Result]) -> None:
        binding, active = self._controller.binding, self._controller.active
        if binding is not None and active is not None:
            self._runner.request(binding, active, run)

    def _run(self, request: Request, should_stop: Callable[[], bool]) -> Result:
        """In the worker's thread."""
        try:
            return self._runner.engine.refine(request, should_stop, self._tell)
        finally:
            self._ended.emit()

    def _tell(self, done: int, total: int) -> None:
        self.progressed.emit(done, total)

    def _on_ended(self) -> None:
        self._is_running = False
