"""What the simulated user clicks on: anything that turns clicks into masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from napari_edgeflow._types import AnyArray, BoolArray, Click, Prediction


class Segmenter(Protocol):
    """Turns the clicks on one object into masks, one object after the other."""

    def begin(self, image: AnyArray, field_of_view: float) -> None:
        """Forget all clicks and start on a new object.

        Args:
            image: ``(H, W)`` or ``(H, W, 3)``, any dtype.
            field_of_view: Side in pixels of the square that the user looks at.
        """
        ...

    def click(self, click: Click) -> BoolArray:
        """``(H, W) bool`` mask of the object after one more click."""
        ...


class SessionLike(Protocol):
    """The part of :class:`napari_edgeflow.Session` that is needed here."""

    def add_click(self, y: float, x: float, is_positive: bool = True) -> Prediction:
        """The prediction after one more click."""
        ...


class SessionSegmenter:
    """The very session that the widget and the command line use.

    Args:
        open_session: Makes the session of an image and a field of view.
    """

    def __init__(self, open_session: Callable[[AnyArray, float], SessionLike]) -> None:
        self._open_session = open_session
        self._session: SessionLike | None = None
        self._shape = (0, 0)

    def begin(self, image: AnyArray, field_of_view: float) -> None:
        """Open a session on ``image``."""
        self._session = self._open_session(image, field_of_view)
        self._shape = (int(image.shape[0]), int(image.shape[1]))

    def click(self, click: Click) -> BoolArray:
        """``(H, W) bool`` mask after one more click.

        Raises:
            RuntimeError: ``begin`` was not called.
        """
        if self._session is None:
            raise RuntimeError("call begin(image, field_of_view) before the first click")
        prediction = self._session.add_click(click.y, click.x, click.is_positive)
        return prediction.full_mask(self._shape)
