"""Value types that travel through every layer: clicks, windows, predictions, post-processing.

Coordinates are ``(y, x)`` with pixel centres on the integers (as in napari's data
coordinates): pixel ``(r, c)`` covers ``[r - 0.5, r + 0.5) × [c - 0.5, c + 0.5)``.
Windows are half-open boxes of whole pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
LabelArray = npt.NDArray[np.integer[Any]]
AnyArray = npt.NDArray[Any]
ClickKind = Literal["positive", "negative", "boundary"]
Encoding = Literal["disk", "distance", "gaussian"]
MAX_SMOOTH_PX = 100.0


@dataclass(frozen=True, slots=True)
class Click:
    """A click in level-0 pixels of the image.

    Attributes:
        y: Row, pixel centres on the integers.
        x: Column, pixel centres on the integers.
        is_positive: True on the object, False beside it; False for a boundary click, whatever
            was given, as that says neither.
        is_boundary: On the object's boundary, for the models that take such clicks.
    """

    y: float
    x: float
    is_positive: bool = True
    is_boundary: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.y) and math.isfinite(self.x)):
            raise ValueError(f"a click needs finite coordinates, got y={self.y}, x={self.x}")
        if self.is_boundary:
            object.__setattr__(self, "is_positive", False)

    @classmethod
    def of_kind(cls, y: float, x: float, kind: ClickKind) -> Click:
        """The click of this kind at this place."""
        return cls(y, x, kind == "positive", kind == "boundary")

    @property
    def is_negative(self) -> bool:
        """True beside the object."""
        return not self.is_positive and not self.is_boundary

    @property
    def kind(self) -> ClickKind:
        """What the click says of its pixel."""
        if self.is_boundary:
            return "boundary"
        return "positive" if self.is_positive else "negative"

    @property
    def pixel(self) -> tuple[int, int]:
        """(row, column) of the pixel that holds the click."""
        return math.floor(self.y + 0.5), math.floor(self.x + 0.5)


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open box ``[y0, y1) × [x0, x1)`` of pixels, level 0 unless a name says otherwise."""

    y0: int
    x0: int
    y1: int
    x1: int

    def __post_init__(self) -> None:
        if self.y1 <= self.y0 or self.x1 <= self.x0:
            raise ValueError(f"a window needs y1 > y0 and x1 > x0, got {self}")

    @property
    def height(self) -> int:
        """Rows."""
        return self.y1 - self.y0

    @property
    def width(self) -> int:
        """Columns."""
        return self.x1 - self.x0

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Slices that cut this window out of an array of the whole raster."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def contains(self, click: Click) -> bool:
        """True when the click's pixel lies in the window."""
        row, column = click.pixel
        return self.y0 <= row < self.y1 and self.x0 <= column < self.x1

    def union(self, other: Window) -> Window:
        """Smallest window that covers both."""
        return Window(
            min(self.y0, other.y0),
            min(self.x0, other.x0),
            max(self.y1, other.y1),
            max(self.x1, other.x1),
        )

    def intersect(self, other: Window) -> Window | None:
        """Common part of both, or None when they do not overlap."""
        y0, x0 = max(self.y0, other.y0), max(self.x0, other.x0)
        y1, x1 = min(self.y1, other.y1), min(self.x1, other.x1)
        return Window(y0, x0, y1, x1) if y1 > y0 and x1 > x0 else None

    def relative_to(self, outer: Window) -> Window:
        """This window in the pixel coordinates of ``outer``'s own array."""
        return Window(
            self.y0 - outer.y0, self.x0 - outer.x0, self.y1 - outer.y0, self.x1 - outer.x0
        )


@dataclass(frozen=True, slots=True)
class PostProcessing:
    """How probabilities become the mask of an object; ``inference.postprocess`` has the order.

    Attributes:
        threshold: Probability above which a pixel is in, in (0, 1).
        largest_component: Only the parts with a positive click, else the largest.
        fill_holes: Holes are filled.
        min_part_px: Parts smaller than this, in square pixels, are left out.
        smooth_px: Radius of the smoothing of the outline, in pixels; 0: none.
    """

    threshold: float = 0.5
    largest_component: bool = True
    fill_holes: bool = False
    min_part_px: int = 0
    smooth_px: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ValueError(
                f"expected a threshold between 0 and 1, got {self.threshold}; move the slider"
            )
        if self.min_part_px < 0 or not 0 <= self.smooth_px <= MAX_SMOOTH_PX:
            raise ValueError(
                f"expected parts of at least 0 px and a radius from 0 to {MAX_SMOOTH_PX:g} px, "
                f"got {self.min_part_px} and {self.smooth_px}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class MaskPatch:
    """A mask at a resolution of its own.

    Attributes:
        window: What it covers, level-0 pixels.
        mask: ``(h, w) bool``: cell (i, j) stands for the level-0 pixels from
            (window.y0 + i · scale, window.x0 + j · scale) on, ``scale`` of them along each
            axis, fewer at the window's end.
        scale: Side of a cell in level-0 pixels.
    """

    window: Window
    mask: BoolArray
    scale: int = 1

    def paste(self, out: BoolArray, window: Window, scale: int = 1) -> None:
        """Puts the cells at the centres of the window's cells into ``out``, where there are any.

        Args:
            out: ``(h, w) bool`` of the window, in cells of ``scale`` pixels.
            window: Level-0 pixels.
            scale: Side of its cells.
        """
        ours = ((self.window.y0, self.window.y1), (self.window.x0, self.window.x1))
        theirs = ((window.y0, window.y1), (window.x0, window.x1))
        picked, placed = [], []
        for (start, stop), (first, end), count in zip(ours, theirs, out.shape, strict=True):
            centres = np.minimum(first + np.arange(count) * scale + scale // 2, end - 1)
            inside = (centres >= start) & (centres < stop)
            placed.append(np.flatnonzero(inside))
            picked.append((centres[inside] - start) // self.scale)
        if placed[0].size and placed[1].size:
            rows, columns = (slice(int(part[0]), int(part[-1]) + 1) for part in placed)
            out[rows, columns] = self.mask[np.ix_(*picked)]


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What the network says after the clicks so far.

    Of a window too large for an array of level-0 pixels, probabilities and mask are kept in
    square cells of ``scale`` pixels; ``mask_in`` gives the pixels of any part.

    Attributes:
        window: The part of the raster that was looked at, level-0 pixels.
        probs: ``(h, w) float32 in [0, 1]``: probability of the object, of the window.
        mask: ``(h, w) bool``: the object after threshold and post-processing.
        score: Mean confidence inside the mask, in [0, 1]; 0 for an empty mask.
        scale: Side in level-0 pixels of what one value of ``probs`` and ``mask`` stands for; the
            cells at the window's end may be cut.
        grain_px: Side in level-0 pixels of what the network saw as one pixel where the outline
            is; the outline is no finer than that.
        patches: Parts of the mask at a finer scale, over ``mask``; later ones over earlier ones.
        is_refined: The outline was drawn again at native resolution: clicks alone do not give it.
    """

    window: Window
    probs: FloatArray
    mask: BoolArray
    score: float
    scale: int = 1
    grain_px: float = 1.0
    patches: tuple[MaskPatch, ...] = ()
    is_refined: bool = False

    @property
    def is_whole(self) -> bool:
        """True when ``mask`` holds every level-0 pixel of the window."""
        return self.scale == 1 and not self.patches

    @property
    def area_px(self) -> int:
        """Level-0 pixels of the mask; to the nearest cell where it is kept in cells."""
        return int(np.count_nonzero(self.mask)) * self.scale**2

    def mask_in(self, window: Window, scale: int = 1) -> BoolArray:
        """``(⌈h / scale⌉, ⌈w / scale⌉) bool``: the mask in a window; False beyond its own.

        Args:
            window: Level-0 pixels.
            scale: Side in level-0 pixels of the cells wanted; each shows the pixel at its centre.
        """
        shape = -(-window.height // scale), -(-window.width // scale)
        mask = np.zeros(shape, dtype=bool)
        for patch in (MaskPatch(self.window, self.mask, self.scale), *self.patches):
            if patch.window.intersect(window) is not None:
                patch.paste(mask, window, scale)
        return mask

    def full_mask(self, shape: tuple[int, int]) -> BoolArray:
        """``shape`` bool array of the whole raster with the mask at its place."""
        full = np.zeros(shape, dtype=bool)
        full[self.window.slices] = self.mask if self.is_whole else self.mask_in(self.window)
        return full
