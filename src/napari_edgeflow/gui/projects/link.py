"""Follows the project of the image that is clicked on, whichever it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_edgeflow.annotation.changes import Change

_SIZE_EVENTS = ("scale", "units", "affine", "shear")


class ProjectLink:
    """Tells of each change of the controller's project, and of another project.

    Args:
        controller: Has ``project`` and the signal ``changed``.
        on_change: Called with the change; None: everything is new, or there is no project.
        on_label: Called with the label that was chosen in the project's Labels layer.
        on_layer: Called when that layer is another one; before ``on_change`` if both are due.

    Attributes:
        project: The one that is followed; None when there is none.
        layer: Its Labels layer; None when there is none.
    """

    def __init__(
        self,
        controller: Any,
        on_change: Callable[[Change | None], object],
        on_label: Callable[[int], object] | None = None,
        on_layer: Callable[[], object] | None = None,
    ) -> None:
        self._controller = controller
        self._on_change, self._on_label, self._on_layer = on_change, on_label, on_layer
        self.project: Any = None
        self.layer: Any = None
        self._is_closed = False
        controller.changed.connect(self._on_controller)

    def start(self) -> None:
        """Follow what is there already."""
        self._on_controller()

    def _on_controller(self) -> None:
        project = self._controller.project
        if project is not self.project:
            self._leave()
            self.project = project
            if project is not None:
                project.changed.connect(self._tell)
                for name in _SIZE_EVENTS:
                    getattr(project.image.events, name).connect(self._on_size)
            self._tell(None)
        self._follow_layer()

    def _tell(self, change: Change | None) -> None:
        self._follow_layer()
        self._on_change(change)

    def _on_size(self, _event: Any = None) -> None:
        self._on_change(None)

    def _leave(self) -> None:
        project, self.project = self.project, None
        if project is not None:
            project.changed.disconnect(self._tell)
            for name in _SIZE_EVENTS:
                getattr(project.image.events, name).disconnect(self._on_size)
        self._follow_layer()

    def _follow_layer(self) -> None:
        """The layer may come later than its project, and be another one."""
        layer = self.project.layer if self.project is not None else None
        if layer is self.layer:
            return
        if self.layer is not None:
            self.layer.events.selected_label.disconnect(self._on_selected_label)
        self.layer = layer
        if layer is not None:
            layer.events.selected_label.connect(self._on_selected_label)
        if self._on_layer is not None:
            self._on_layer()

    def _on_selected_label(self, _event: Any = None) -> None:
        if self._on_label is not None and self.layer is not None:
            self._on_label(int(self.layer.selected_label))

    def close(self) -> None:
        """Follow nothing any more."""
        if not self._is_closed:
            self._is_closed = True
            self._controller.changed.disconnect(self._on_controller)
            self._leave()
