"""What the hand does: mouse, keys and hover of one widget, made and closed together."""

from __future__ import annotations

from functools import partial
from typing import Any

from napari.utils.notifications import show_info
from psygnal import Signal

from napari_edgeflow.gui.clicks.deleting import delete
from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.input.hover import Hover
from napari_edgeflow.gui.input.mouse import ClickTool
from napari_edgeflow.gui.input.preferences import Preferences
from napari_edgeflow.gui.input.shortcuts import Actions, Shortcuts


class Hand:
    """The click tool, the keys and the mask under the pointer.

    Attributes:
        tool: Turns clicks on the canvas into clicks on objects.
        shortcuts: The keys.
        hover: Shows masks under the pointer.

    Args:
        viewer: The napari viewer.
        controller: Does what is asked for.
        actions: More of them by name, that of the click tool's button among them.
    """

    changed = Signal()
    """Clicks mean something else, keys are other ones, or hover was switched."""

    def __init__(self, viewer: Any, controller: Controller, actions: Actions) -> None:
        self.preferences = Preferences()
        self.tool = ClickTool(
            viewer,
            controller.click,
            lambda: "boundary" in controller.click_kinds,
            lambda: self.preferences.mouse,
        )
        self.hover = Hover(viewer, controller, self.tool)
        self.shortcuts = Shortcuts(
            viewer,
            {
                "next": controller.finish,
                "reset": controller.reset,
                "delete": partial(delete, controller),
                "undo": controller.undo,
                "redo": controller.redo,
                "swap": self.swap,
                "hover": self.hover.toggle,
                **actions,
            },
            lambda: self.tool.is_active,
            self.preferences,
        )
        self.shortcuts.changed.connect(self.changed.emit)
        self.hover.changed.connect(self._on_hover)

    def swap(self) -> None:
        """Let clicks mean what those with the other button mean, or as before again."""
        self.tool.is_swapped = not self.tool.is_swapped
        meaning = "on" if self.tool.plain_kind == "positive" else "beside"
        show_info(f"A left click is now {meaning} the object.")
        self.changed.emit()

    def close(self) -> None:
        """Let go of mouse and keys."""
        self.changed.disconnect()
        self.hover.close()
        self.tool.deactivate()
        self.shortcuts.close()

    def _on_hover(self, _is_on: bool) -> None:
        self.changed.emit()
