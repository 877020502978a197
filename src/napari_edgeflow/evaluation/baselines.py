"""Classics that need no training, for comparison: GrabCut, the random walker, the watershed.

All see what a network would see: a square of the field of view's size around the first
click (moved into the image), scaled down to at most ``max_side`` pixels, and every click so far.
Outside of the square the mask is empty.
"""

from __future__ import annotations

import contextlib
import warnings
from abc import ABC, abstractmethod

import cv2
import numpy as np
import numpy.typing as npt

from napari_edgeflow._types import AnyArray, BoolArray, Click, Window

_Bytes = npt.NDArray[np.uint8]

_FRAME_PX = 2
"""Width of the frame of the square that is taken for background."""


class _CropBaseline(ABC):
    """Cuts the square out, keeps the clicks, and maps masks back to the image."""

    def __init__(self, max_side: int) -> None:
        if max_side < 8:
            raise ValueError(f"max_side must be at least 8 pixels, got {max_side}")
        self.max_side = max_side
        self._image: AnyArray = np.zeros((1, 1), dtype=np.uint8)
        self._field_of_view = 1.0
        self._window: Window | None = None
        self._pixels: _Bytes = np.zeros((1, 1, 3), dtype=np.uint8)
        self._clicks: list[Click] = []

    def begin(self, image: AnyArray, field_of_view: float) -> None:
        """Forget all clicks and start on a new object."""
        self._image, self._field_of_view = image, field_of_view
        self._window, self._clicks = None, []

    def click(self, click: Click) -> BoolArray:
        """``(H, W) bool`` mask after one more click."""
        if self._window is None:
            self._window = square_around(click, self._field_of_view, self._image.shape[:2])
            self._pixels = self._scaled(_to_rgb8(self._image[self._window.slices]))
        if self._window.contains(click):
            self._clicks.append(click)
        mask = np.zeros(self._image.shape[:2], dtype=bool)
        if any(click.is_positive for click in self._clicks):
            small = self._segment(self._pixels, self._scaled_clicks())
            size = (self._window.width, self._window.height)
            large = cv2.resize(small.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
            mask[self._window.slices] = large > 0.5
        return mask

    @abstractmethod
    def _segment(self, pixels: _Bytes, clicks: list[Click]) -> BoolArray:
        """``(h, w) bool`` mask of ``pixels: (h, w, 3) uint8``; at least one click is positive."""

    def _scaled(self, pixels: _Bytes) -> _Bytes:
        """``pixels``, made smaller when a side exceeds ``max_side``."""
        height, width = pixels.shape[:2]
        scale = self.max_side / max(height, width)
        if scale >= 1:
            return pixels
        size = max(1, round(width * scale)), max(1, round(height * scale))
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)

    def _scaled_clicks(self) -> list[Click]:
        """The clicks in pixels of the scaled square."""
        if self._window is None:
            return []
        window, (height, width) = self._window, self._pixels.shape[:2]
        return [
            Click(
                min(int((click.pixel[0] - window.y0 + 0.5) * height / window.height), height - 1),
                min(int((click.pixel[1] - window.x0 + 0.5) * width / window.width), width - 1),
                click.is_positive,
            )
            for click in self._clicks
        ]


class GrabCut(_CropBaseline):
    """OpenCV's GrabCut.

    The frame of the square is background, a disk of 0.18 of its side around every positive
    click is the first guess of the object, a small disk around each click is certain.
    """

    def __init__(self, max_side: int = 400, iterations: int = 3) -> None:
        super().__init__(max_side)
        self.iterations = iterations

    def _segment(self, pixels: _Bytes, clicks: list[Click]) -> BoolArray:
        side = max(pixels.shape[:2])
        kinds = np.full(pixels.shape[:2], cv2.GC_PR_BGD, dtype=np.uint8)
        for click in clicks:
            if click.is_positive:
                _draw_disk(kinds, click, round(0.18 * side), cv2.GC_PR_FGD)
        _draw_frame(kinds, cv2.GC_BGD)
        for click in clicks:
            kind = cv2.GC_FGD if click.is_positive else cv2.GC_BGD
            _draw_disk(kinds, click, seed_radius(side), kind)
        cv2.setRNGSeed(0)  # its k-means draws random centres
        back, front = np.zeros((1, 65)), np.zeros((1, 65))
        rect = (0, 0, 0, 0)  # not looked at in this mode
        with contextlib.suppress(cv2.error):  # a kind without pixels has no colours: keep the guess
            cv2.grabCut(pixels, kinds, rect, back, front, self.iterations, cv2.GC_INIT_WITH_MASK)
        return np.asarray((kinds == cv2.GC_FGD) | (kinds == cv2.GC_PR_FGD), dtype=bool)


class RandomWalker(_CropBaseline):
    """scikit-image's random walker: the frame and a small disk around each click are its seeds."""

    def __init__(self, max_side: int = 200, beta: float = 130.0) -> None:
        super().__init__(max_side)
        self.beta = beta

    def _segment(self, pixels: _Bytes, clicks: list[Click]) -> BoolArray:
        from skimage.segmentation import random_walker

        seeds = np.zeros(pixels.shape[:2], dtype=np.uint8)
        _draw_frame(seeds, 2)
        for click in clicks:
            _draw_disk(seeds, click, seed_radius(max(seeds.shape)), 1 if click.is_positive else 2)
        if len(np.unique(seeds)) < 3 or pixels.min() == pixels.max():  # nowhere or nothing to walk
            return np.asarray(seeds == 1, dtype=bool)
        values = pixels.astype(np.float64) / 255
        with warnings.catch_warnings():
            # The solver stops at its tolerance; the labels are what counts here.
            warnings.filterwarnings("ignore", "The probability range is outside", UserWarning)
            walked = random_walker(values, seeds, beta=self.beta, mode="cg_j", channel_axis=-1)
        return np.asarray(walked == 1, dtype=bool)


class Watershed(_CropBaseline):
    """scikit-image's watershed of the gradient, flooded from the frame and a disk at each click.

    The gradient is Sobel's magnitude, in each pixel that of the colour where it is largest.
    """

    def __init__(self, max_side: int = 400) -> None:
        super().__init__(max_side)

    def _segment(self, pixels: _Bytes, clicks: list[Click]) -> BoolArray:
        from skimage.filters import sobel
        from skimage.segmentation import watershed

        seeds = np.zeros(pixels.shape[:2], dtype=np.uint8)
        _draw_frame(seeds, 2)
        for click in clicks:
            _draw_disk(seeds, click, seed_radius(max(seeds.shape)), 1 if click.is_positive else 2)
        values = pixels.astype(np.float64) / 255
        bands = [sobel(values[..., band]) for band in range(3)]  # type: ignore[no-untyped-call]
        flooded = watershed(np.max(bands, axis=0), seeds)  # type: ignore[no-untyped-call]
        return np.asarray(flooded == 1, dtype=np.bool_)


def square_around(click: Click, side: float, shape: tuple[int, ...]) -> Window:
    """The square of ``side`` pixels around ``click``, moved into an image of ``shape``.

    Where the image is smaller than the square, all of it.
    """
    row, column = click.pixel
    height, width = (min(max(1, round(side)), size) for size in shape)
    y0 = min(max(0, row - height // 2), shape[0] - height)
    x0 = min(max(0, column - width // 2), shape[1] - width)
    return Window(y0, x0, y0 + height, x0 + width)


def seed_radius(side: int) -> int:
    """Radius in pixels of the disk that a click makes certain, in a square of ``side``."""
    return round(0.0125 * side)


def _draw_disk(kinds: _Bytes, click: Click, radius: int, value: int) -> None:
    """Set the disk around ``click`` to ``value``; radius 0 is the one pixel."""
    row, column = click.pixel
    cv2.circle(kinds, (column, row), radius, value, thickness=-1)


def _draw_frame(kinds: _Bytes, value: int) -> None:
    """Set the outermost pixels to ``value``."""
    kinds[:_FRAME_PX] = kinds[-_FRAME_PX:] = value
    kinds[:, :_FRAME_PX] = kinds[:, -_FRAME_PX:] = value


def _to_rgb8(pixels: AnyArray) -> _Bytes:
    """``(h, w, 3) uint8`` of any grey or RGB pixels, stretched between their extremes."""
    values = np.nan_to_num(pixels.astype(np.float32), posinf=0, neginf=0)
    if pixels.dtype != np.uint8:
        low, high = float(values.min()), float(values.max())
        values = (values - low) * (255 / (high - low) if high > low else 0)
    grey_or_rgb = values.round().astype(np.uint8)
    if grey_or_rgb.ndim == 2:
        grey_or_rgb = np.repeat(grey_or_rgb[..., None], 3, axis=2)
    return np.ascontiguousarray(grey_or_rgb)
