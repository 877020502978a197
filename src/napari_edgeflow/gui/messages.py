"""What the window says: the status line, and napari notifications."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from napari.utils.notifications import show_warning
from qtpy.QtCore import QTimer

from napari_edgeflow.errors import EdgeFlowError

_LOG = logging.getLogger(__name__)


class Messages:
    """The status line, and notifications that also become the status.

    Args:
        on_change: Called when a widget should show the status anew.
    """

    def __init__(self, on_change: Callable[[], object]) -> None:
        self.status = "Choose an image and switch the click tool on."
        self.on_change = on_change
        self._is_closed = False

    def say(self, text: str, show: Callable[[str], Any]) -> None:
        """Show now, with napari's ``show_info``, ``show_warning`` or ``show_error``."""
        self.status = text
        show(text)
        self.on_change()

    def warn_later(self, text: str) -> None:
        """Warn once the viewer is done with what it is doing, unless it is closing."""
        self.status = text
        QTimer.singleShot(0, lambda: None if self._is_closed else show_warning(text))

    def close(self) -> None:
        """Say nothing more by itself."""
        self._is_closed = True


def in_words(error: Exception) -> str:
    """The message of an expected error; the type too of one that is not, which is logged."""
    if isinstance(error, EdgeFlowError | ValueError):
        return str(error)
    _LOG.error("%s", error, exc_info=error)
    return f"{type(error).__name__}: {error}"
