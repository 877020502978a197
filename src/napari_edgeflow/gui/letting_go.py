"""What a widget lets go of when it is closed, in order."""

from __future__ import annotations

from collections.abc import Callable


class LetGo:
    """Runs each step once; does not need the widget, which may be gone already."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._steps = list(steps)

    def __call__(self, _widget: object = None) -> None:
        """Run what is left of them."""
        while self._steps:
            self._steps.pop(0)()
