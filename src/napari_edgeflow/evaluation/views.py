"""Networks without the session's zoom: one fixed view, or RITM's own ZoomIn.

The first shows what the zoom is worth; the second is how the figures of RITM's paper were made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np

from napari_edgeflow._types import AnyArray, BoolArray, Click, FloatArray, Window
from napari_edgeflow.inference.postprocess import probs_to_mask
from napari_edgeflow.inference.predictor import SupportsPredict, network_shape
from napari_edgeflow.inference.zoom import View, first_window, keeps_window, resample
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.stretch import estimate_stretch

RITM_SIDE = 400
RITM_THRESHOLD = 0.49
_RITM_PRIOR_THRESHOLD = 0.5
_EXPANSION = 1.4
_MIN_CROP_PX = 200


class _Viewer(ABC):
    """Keeps the clicks and the stretched image of the object at hand."""

    def __init__(self, predictor: SupportsPredict) -> None:
        self._predictor = predictor
        self._clicks: list[Click] = []
        self._image: FloatArray = np.zeros((1, 1, 3), np.float32)
        self._field_of_view = 1.0

    def begin(self, image: AnyArray, field_of_view: float) -> None:
        """Forget all clicks and start on a new object."""
        raster = ArrayRaster([image])
        bands = image if image.ndim == 3 else image[..., None]
        self._image = estimate_stretch(raster).apply(bands)
        self._clicks, self._field_of_view = [], field_of_view
        self._reset()

    def click(self, click: Click) -> BoolArray:
        """``(H, W) bool`` mask after one more click."""
        self._clicks.append(click)
        return self._segment()

    @abstractmethod
    def _reset(self) -> None:
        """Forget what was predicted."""

    @abstractmethod
    def _segment(self) -> BoolArray:
        """``(H, W) bool`` mask of the clicks so far."""


class FixedView(_Viewer):
    """The session without its zoom: the field of view around the first click, at every click.

    Clicks outside of it are not seen; outside of it the mask is empty.
    """

    def _reset(self) -> None:
        self._view: View | None = None
        self._prior: FloatArray | None = None

    def _segment(self) -> BoolArray:
        shape = self._image.shape[:2]
        if self._view is None:
            window = first_window(self._clicks[0], shape, self._field_of_view)
            self._view = View(window, 0, network_shape(window.shape, self._predictor.input_side))
        view = self._view
        pixels = np.clip(resample(self._image[view.window.slices], view.shape), 0, 1)
        seen = [click for click in self._clicks if view.window.contains(click)]
        raw = self._predictor.predict(pixels, [view.to_input(c) for c in seen], self._prior)
        self._prior = raw.prior
        probs = _probs(resample(raw.logits, view.window.shape))
        mask = np.zeros(shape, dtype=bool)
        mask[view.window.slices] = probs_to_mask(probs, view.window, seen)
        return mask


class RitmView(_Viewer):
    """RITM's inference: ZoomIn, a threshold of 0.49 and nothing after it.

    The first click sees the whole image at its own size. From the second on the network sees the
    box of the last mask and the positive clicks, 1.4 times as large and at least 200 px, its longer
    side scaled to ``side``; the box is kept while it holds all positive clicks and the product of
    its overlaps along rows and columns with the wanted box is at least one half. Deviations from
    the published code: a box never reaches past the last row or column, and while the last mask is
    empty the whole image is seen, even where an earlier box is known.

    Args:
        predictor: Answers the clicks.
        side: Longer side in pixels of the zoomed view; RITM takes 600 for DAVIS.
    """

    def __init__(self, predictor: SupportsPredict, side: int = RITM_SIDE) -> None:
        super().__init__(predictor)
        self._side = side

    def _reset(self) -> None:
        self._box: Window | None = None
        self._probs = np.zeros(self._image.shape[:2], np.float32)
        self._prior = np.zeros(self._image.shape[:2], np.float32)

    def _segment(self) -> BoolArray:
        whole = Window(0, 0, *self._image.shape[:2])
        self._box = self._next_box()
        window = self._box or whole
        shape = whole.shape if self._box is None else _scaled(window.shape, self._side)
        raw = self._predictor.predict(
            resize_corners(self._image[window.slices], shape),
            [_to_view(click, window, shape) for click in self._clicks],
            resize_corners(self._prior[window.slices], shape),
        )
        self._probs = _pasted(_probs(raw.logits), window, whole.shape)
        self._prior = _pasted(raw.prior, window, whole.shape)
        return np.asarray(self._probs > RITM_THRESHOLD)

    def _next_box(self) -> Window | None:
        """The box to look at, None for the whole image."""
        mask = self._probs > _RITM_PRIOR_THRESHOLD
        if len(self._clicks) < 2 or not mask.any():
            return None
        positive = [click for click in self._clicks if click.is_positive]
        wanted = ritm_box(mask, positive)
        if self._box is not None and keeps_window(self._box, wanted, positive):
            return self._box
        return wanted


def ritm_box(mask: BoolArray, positive: list[Click]) -> Window:
    """The box of ``mask: (H, W) bool`` and of the positive clicks, expanded, in the image."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    ys = [int(rows[0]), int(rows[-1]), *(click.pixel[0] for click in positive)]
    xs = [int(columns[0]), int(columns[-1]), *(click.pixel[1] for click in positive)]
    y0, y1 = _expanded(min(ys), max(ys), mask.shape[0])
    x0, x1 = _expanded(min(xs), max(xs), mask.shape[1])
    return Window(y0, x0, y1, x1)


def resize_corners(plane: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """``(h, w[, C])`` at another size: bilinear, corner pixels onto corner pixels, no smoothing."""
    if plane.shape[:2] == shape:
        return plane
    for axis, size in enumerate(shape):
        place = np.linspace(0, plane.shape[axis] - 1, size)
        low = np.minimum(place.astype(np.int64), max(plane.shape[axis] - 2, 0))
        high = np.minimum(low + 1, plane.shape[axis] - 1)
        weight = (place - low).astype(np.float32)
        weight = weight.reshape([-1 if a == axis else 1 for a in range(plane.ndim)])
        first, second = np.take(plane, low, axis), np.take(plane, high, axis)
        plane = first * (1 - weight) + second * weight
    return plane


def _expanded(first: int, last: int, size: int) -> tuple[int, int]:
    """Half-open range around ``first…last`` of 1.4 times its length, inside ``size``."""
    length = max(_EXPANSION * (last - first + 1), _MIN_CROP_PX)
    centre = (first + last) / 2
    return max(round(centre - length / 2), 0), min(round(centre + length / 2) + 1, size)


def _scaled(shape: tuple[int, int], side: int) -> tuple[int, int]:
    """``shape`` with its longer side at ``side``."""
    scale = side / max(shape)
    return max(round(shape[0] * scale), 1), max(round(shape[1] * scale), 1)


def _to_view(click: Click, window: Window, shape: tuple[int, int]) -> Click:
    """The click in the view's pixels; RITM scales the distance to the box's first pixel."""
    row, column = click.pixel
    return replace(
        click,
        y=(row - window.y0) * shape[0] / window.height,
        x=(column - window.x0) * shape[1] / window.width,
    )


def _pasted(plane: FloatArray, window: Window, shape: tuple[int, int]) -> FloatArray:
    """``plane`` at the window's size, in zeros of ``shape``."""
    whole = np.zeros(shape, np.float32)
    whole[window.slices] = resize_corners(plane, window.shape)
    return whole


def _probs(logits: FloatArray) -> FloatArray:
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(-logits))).astype(np.float32)
