"""What a session refuses, in words."""

from __future__ import annotations

from collections.abc import Iterable

from napari_edgeflow._types import Click
from napari_edgeflow.raster.stretch import Stretch


def check_inside(click: Click, shape: tuple[int, int]) -> None:
    """Nothing, when the click lies on a raster of that many rows and columns.

    Raises:
        ValueError: It does not.
    """
    row, column = click.pixel
    height, width = shape
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(
            f"the click at y={click.y:g}, x={click.x:g} lies outside the image, whose rows "
            f"are 0…{height - 1} and columns 0…{width - 1}; give its row first, then its column"
        )


def check_order(clicks: Iterable[Click], *, has_start: bool) -> None:
    """Nothing, when a positive click or a mask to start from comes before boundary clicks.

    Raises:
        ValueError: A boundary click comes first.
    """
    for click in clicks:
        if click.is_positive or has_start:
            return
        if click.is_boundary:
            raise ValueError(
                "expected a click on the object before one on its boundary, got the boundary "
                f"click y={click.y:g}, x={click.x:g}; click on the object first"
            )


def check_stretch(stretch: Stretch, n_bands: int) -> None:
    """Nothing, when the stretch is for that many bands.

    Raises:
        ValueError: It is for another number.
    """
    if len(stretch.low) != n_bands:
        raise ValueError(
            f"expected a stretch of the bands shown, got a stretch for {len(stretch.low)} "
            f"band{'s' if len(stretch.low) > 1 else ''} and an image shown with {n_bands}; "
            "leave stretch out, or make it with estimate_stretch"
        )
