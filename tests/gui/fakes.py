"""A predictor and a session without a network: fast, exact, and able to wait at a gate.

The object is the set of pixels connected to a positive click whose value is like its own; a
negative click removes the disc of radius 3 around itself. The object has a probability of 0.9,
pixels of a like value elsewhere 0.6, all others 0.1.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import ndimage

from napari_edgeflow._types import (
    AnyArray,
    BoolArray,
    Click,
    ClickKind,
    PostProcessing,
    Prediction,
    Window,
)
from napari_edgeflow.errors import Cancelled
from napari_edgeflow.gui.planes import PlaneImage
from napari_edgeflow.raster.open import open_raster

TOLERANCE = 5.0
PATIENCE_S = 60
"""How long a test waits for what must happen, however busy the machine."""


def region(image: AnyArray, clicks: Sequence[Click], start: BoolArray | None = None) -> BoolArray:
    """The oracle: what the fake must answer for these clicks on this plane."""
    grey = image if image.ndim == 2 else image.mean(axis=2)
    mask = np.zeros(grey.shape, dtype=bool) if start is None else start.copy()
    for click in clicks:
        row, column = click.pixel
        if click.is_positive:
            parts, _ = ndimage.label(np.abs(grey.astype(float) - grey[row, column]) <= TOLERANCE)
            mask |= parts == parts[row, column]
        elif click.is_negative:
            y, x = np.ogrid[: grey.shape[0], : grey.shape[1]]
            mask &= (y - row) ** 2 + (x - column) ** 2 > 9
    return mask


def alike(image: AnyArray, clicks: Sequence[Click]) -> BoolArray:
    """Pixels anywhere of a positive click's value, but for the discs of the negative ones."""
    grey = image if image.ndim == 2 else image.mean(axis=2)
    values = [float(grey[click.pixel]) for click in clicks if click.is_positive]
    y, x = np.ogrid[: grey.shape[0], : grey.shape[1]]
    found = np.isin(np.round(grey), np.round(values))
    for row, column in (click.pixel for click in clicks if click.is_negative):
        found &= (y - row) ** 2 + (x - column) ** 2 > 9
    return found


@dataclass(frozen=True)
class FakeTimings:
    read_s: float = 0.001
    network_s: float = 0.002
    post_s: float = 0.003


@dataclass
class FakePredictor:
    """Counts what runs; holds every run while ``gate`` is clear."""

    name: str = "fake"
    device_line: str = "fake · no network"
    click_kinds: tuple[ClickKind, ...] = ("positive", "negative")
    runs: int = 0
    peeks: int = 0
    stopped: int = 0
    opened: int = 0
    failure: Exception | None = None
    fields_of_view: list[float | None] = field(default_factory=list)
    click_lists: list[tuple[Click, ...]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    started: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()


class FakeSession:
    """The contract's session on the fake predictor."""

    postprocessing = PostProcessing()

    def __init__(
        self, image: PlaneImage, predictor: FakePredictor, field_of_view: float | None
    ) -> None:
        source, axes, index = image.source()
        self.source = open_raster(source, axes=axes, index=index)
        rows, columns = self.source.shape
        self._window = Window(0, 0, rows, columns)
        self._pixels = self.source.read(self._window)
        self._predictor = predictor
        predictor.opened += 1
        self.reset(field_of_view)
        self.timings = FakeTimings()

    def reset(self, field_of_view: float | None = None) -> None:
        self.clicks: tuple[Click, ...] = ()
        self._start: BoolArray | None = None
        self._probs: AnyArray | None = None
        self.field_of_view = field_of_view

    def start_from(self, mask: BoolArray, window: Window | None = None) -> Prediction:
        self._start = np.zeros(self._window.shape, dtype=bool)
        self._start[(window or self._window).slices] = mask
        self._probs = np.where(self._start, 0.9, 0.1)
        assert self.prediction is not None
        return self.prediction

    def set_clicks(
        self, clicks: Sequence[Click], should_stop: Callable[[], bool] | None = None
    ) -> Prediction | None:
        predictor = self._predictor
        predictor.runs += 1
        predictor.fields_of_view.append(self.field_of_view)
        predictor.click_lists.append(tuple(clicks))
        predictor.started.set()
        assert predictor.gate.wait(2 * PATIENCE_S), "the test never opened the gate"
        if should_stop is not None and should_stop():
            predictor.stopped += 1
            raise Cancelled("a later click came")
        if predictor.failure is not None:
            raise predictor.failure
        mask = region(self._pixels, clicks, self._start)
        self.clicks = tuple(clicks)
        is_empty = not clicks and self._start is None
        like = np.where(alike(self._pixels, clicks), 0.6, 0.1)
        self._probs = None if is_empty else np.where(mask, 0.9, like)
        return self.prediction

    def refine(
        self, progress: Callable[[int, int], None], should_stop: Callable[[], bool]
    ) -> Prediction:
        """Every mask is as fine as the image already."""
        assert self.prediction is not None
        return self.prediction

    def unrefine(self) -> Prediction | None:
        return self.prediction

    def peek(
        self,
        clicks: Sequence[Click],
        field_of_view: float | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Prediction | None:
        self._predictor.peeks += 1
        assert self._predictor.gate.wait(2 * PATIENCE_S), "the test never opened the gate"
        if should_stop():
            self._predictor.stopped += 1
            raise Cancelled("a click came")
        mask = region(self._pixels, clicks, self._start)
        return Prediction(self._window, mask.astype(np.float32), mask, 0.9)

    @property
    def prediction(self) -> Prediction | None:
        if self._probs is None:
            return None
        settings = self.postprocessing
        mask = self._probs > settings.threshold
        clicked = [click.pixel for click in self.clicks if click.is_positive]
        if settings.largest_component and clicked:
            parts, _ = ndimage.label(mask)
            mask = mask & np.isin(parts, [parts[pixel] for pixel in clicked])
        if settings.fill_holes:
            mask = ndimage.binary_fill_holes(mask)
        return Prediction(self._window, self._probs.astype(np.float32), mask, 0.9)


def squares(shape: tuple[int, int] = (60, 80), dtype: Any = np.uint8) -> AnyArray:
    """Dark image: 200 at rows 10–25, 120 at rows 35–50, a speck of 200 at the bottom left."""
    image: AnyArray = np.zeros(shape, dtype=dtype)
    image[10:25, 10:30] = 200
    image[35:50, 40:70] = 120
    image[55:58, 2:6] = 200
    return image
