"""From the step before and the clicks to the next step: where to look, and looking."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from napari_edgeflow._types import BoolArray, Click, FloatArray, MaskPatch, PostProcessing, Window
from napari_edgeflow.clicks.simulate import next_click
from napari_edgeflow.errors import Cancelled, RasterError
from napari_edgeflow.inference.cleaning import mask_box
from napari_edgeflow.inference.grid import Grid
from napari_edgeflow.inference.postprocess import PLAIN, probs_to_mask
from napari_edgeflow.inference.predictor import (
    GLANCE_SIDE_PX,
    SupportsPredict,
    network_shape,
)
from napari_edgeflow.inference.zoom import (
    View,
    choose_view,
    first_window,
    keeps_window,
    move_plane,
    object_window,
    resample,
    touched_window,
    window_at_level,
)
from napari_edgeflow.raster.decimate import read_for_size
from napari_edgeflow.raster.source import RasterSource
from napari_edgeflow.raster.stretch import Stretch

DECISION = 0.5
MOST_GROWTHS = 2
CLOSER_BELOW = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """A mask made elsewhere: ``(h, w) bool`` of its window, which is its box.

    Attributes:
        window: Level-0 pixels.
        mask: In cells of ``scale`` pixels.
        scale: Side of a cell in level-0 pixels.
        fine: The mask pixel by pixel, where the cells are larger.
    """

    window: Window
    mask: BoolArray
    scale: int = 1
    fine: tuple[MaskPatch, ...] = ()

    @classmethod
    def of(cls, box: Window, mask: BoolArray) -> Start:
        """From the ``(h, w) bool`` mask of its box, which is not copied."""
        grid, patch = Grid.of(box), MaskPatch(box, mask)
        if grid.scale == 1:
            return cls(box, mask)
        cells = np.zeros(grid.shape, dtype=bool)
        patch.paste(cells, box, grid.scale)
        return cls(box, cells, grid.scale, (patch,))

    def innermost(self) -> Click:
        """A positive click on the mask's pixel that lies farthest from its border."""
        click = next_click(self.mask, np.zeros_like(self.mask))
        if click is None:
            raise RuntimeError("a mask to start from has at least one pixel")
        middle = self.scale // 2
        return Click(
            min(click.y * self.scale + middle + self.window.y0, self.window.y1 - 1),
            min(click.x * self.scale + middle + self.window.x0, self.window.x1 - 1),
        )

    def seen_in(self, view: View) -> FloatArray:
        """``(h, w) float32 in [0, 1]``: how much of each pixel of the view's input is mask."""
        grid = Grid.of(view.window)
        whole = np.zeros(grid.shape, dtype=bool)
        self.patch.paste(whole, view.window, grid.scale)
        return resample(whole.astype(np.float32), view.shape)

    @property
    def patch(self) -> MaskPatch:
        """The mask and its place."""
        return MaskPatch(self.window, self.mask, self.scale)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What is known after a click; never changed, so undo is exact.

    Attributes:
        view: What the network saw.
        logits: ``(h, w) float32`` of the network's input size.
        prior: ``(h, w) float32``: goes into the next click.
        box: The object's box after this click at threshold 0.5, None when it is empty.
        whole: The window from which was zoomed in, where a coarse stage saw one.
    """

    view: View
    logits: FloatArray
    prior: FloatArray
    box: Window | None
    whole: Window | None = None

    @property
    def grid(self) -> Grid:
        """The cells in which probabilities and mask of the view's window are kept."""
        return Grid.of(self.view.window)

    @property
    def grain_px(self) -> float:
        """Side in level-0 pixels of a pixel of the network's input."""
        return max(1.0, *(1 / scale for scale in self.view.scale_yx))

    def window_probs(self) -> FloatArray:
        """``(h, w) float32 in [0, 1]`` of the view's window, one value a cell of its grid."""
        values = self.grid.spread(self.logits)
        with np.errstate(over="ignore"):
            probs = 1 / (1 + np.exp(-values))
        return probs.astype(np.float32, copy=False)

    def mask(
        self, probs: FloatArray, clicks: Sequence[Click], settings: PostProcessing
    ) -> BoolArray:
        """``(h, w) bool``: ``window_probs`` after post-processing."""
        grid = self.grid
        return probs_to_mask(probs, grid.cells, grid.to_cells(clicks), grid.settings(settings))


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What finding a step's box has worked out already, so that showing it need not.

    Attributes:
        logits: The step's own.
        clicks: With which it was post-processed.
        probs: ``(h, w) float32 in [0, 1]`` of the step's window.
        mask: ``(h, w) bool`` of it by the default post-processing.
        box: The mask's box in level-0 pixels, None when it is empty.
    """

    logits: FloatArray
    clicks: tuple[Click, ...]
    probs: FloatArray
    mask: BoolArray
    box: Window | None


@dataclass(slots=True)
class Run:
    """One request: whether to go on, the time spent so far, and what was seen last.

    Attributes:
        should_stop: Asked before every run of the network.
        read_s: Seconds spent reading pixels.
        network_s: Seconds spent in the network.
        seen: Of the last look.
    """

    should_stop: Callable[[], bool] = field(default=lambda: False)
    read_s: float = 0.0
    network_s: float = 0.0
    seen: Seen | None = None


class ComputesSteps(Protocol):
    """Turns clicks into steps; a step follows from the one before, the clicks and the pixels."""

    def first(self, click: Click, field_of_view: float | None, run: Run) -> Step:
        """The step after the first click of an object."""

    def first_correction(self, start: Start, clicks: tuple[Click, ...], run: Run) -> Step:
        """The step after the first click on a mask made elsewhere."""

    def later(self, before: Step, clicks: tuple[Click, ...], run: Run) -> Step:
        """The step after any further click."""


@dataclass(frozen=True, slots=True, eq=False)
class StepComputer:
    """Computes steps for one raster with a single stage; holds no state of its own.

    Attributes:
        source: The raster.
        predictor: Answers the clicks.
        bands: Bands that are read.
        stretch: How they become RGB.
    """

    source: RasterSource
    predictor: SupportsPredict
    bands: tuple[int, ...]
    stretch: Stretch

    def first(self, click: Click, field_of_view: float | None, run: Run) -> Step:
        """A glance at the field of view finds the object, a full look answers.

        The glance runs at an input of at most 96 px a side and without refinement, which is
        quick. The full look goes to the object alone when it is small in the view, else to
        the whole view.
        """
        window = first_window(click, self.source.shape, field_of_view)
        box = self._glance(window, click, run)
        if box is not None:
            closer = object_window(box, (click,), self.source.shape)
            if max(closer.shape) < CLOSER_BELOW * max(window.shape):
                window = closer
        return self.look(window, (click,), None, run)

    def first_correction(self, start: Start, clicks: tuple[Click, ...], run: Run) -> Step:
        """The first click on a mask made elsewhere."""
        window = object_window(start.window, clicks, self.source.shape)
        return self.grow(window, clicks, self.start_prior(start, window), run)

    def later(self, before: Step, clicks: tuple[Click, ...], run: Run) -> Step:
        """Any further click; the window grows while the mask touches its border."""
        old = before.view.window
        if before.box is None:
            is_inside = all(old.contains(click) for click in clicks)
            window = old if is_inside else object_window(old, clicks, self.source.shape)
        else:
            window = object_window(before.box, clicks, self.source.shape)
            if keeps_window(old, window, clicks):
                window = old
        return self.grow(window, clicks, (before.view, before.prior), run)

    def grow(
        self, window: Window, clicks: tuple[Click, ...], prior: tuple[View, FloatArray], run: Run
    ) -> Step:
        """A look at the window, and at larger ones while the mask touches the border."""
        step = self.look(window, clicks, prior, run)
        for _ in range(MOST_GROWTHS):
            grown = touched_window(step.logits > 0, step.view.window, self.source.shape)
            if grown is None:
                break
            step = self.look(grown, clicks, prior, run)
        return step

    def _view(self, window: Window, side: int | None = None) -> View:
        input_shape = network_shape(window.shape, side or self.predictor.input_side)
        return choose_view(window, self.source.levels, self.source.shape, input_shape)

    def start_prior(self, start: Start, window: Window) -> tuple[View, FloatArray]:
        """The window's view, and the prior for the mask to start from at its input size."""
        view = self._view(window)
        return view, self.predictor.prior_from_mask(start.seen_in(view) > DECISION)

    def _glance(self, window: Window, click: Click, run: Run) -> Window | None:
        """The box of what the click seems to mean, None when nothing answers it."""
        side = min(self.predictor.input_side, GLANCE_SIDE_PX)
        view = self._view(window, side)
        image = self.read(view, run)
        began = time.perf_counter()
        logits = self.predictor.glance(image, [view.to_input(click)])
        run.network_s += time.perf_counter() - began
        seen = _see(Step(view, _finite(logits), logits, None), (click,))
        return seen.box

    def look(
        self,
        window: Window,
        clicks: tuple[Click, ...],
        prior: tuple[View, FloatArray] | None,
        run: Run,
    ) -> Step:
        """One run of the network on a window.

        Raises:
            Cancelled: The request is no longer wanted.
            RasterError: The pixels cannot be read or the answer is not finite.
        """
        view = self._view(window)
        image = self.read(view, run)
        began = time.perf_counter()
        moved = None if prior is None else move_plane(prior[1], prior[0], view)
        raw = self.predictor.predict(image, [view.to_input(click) for click in clicks], moved)
        run.network_s += time.perf_counter() - began
        step = Step(view, _finite(raw.logits), raw.prior, None)
        run.seen = _see(step, clicks)
        return replace(step, box=run.seen.box)

    def read(self, view: View, run: Run) -> FloatArray:
        """``(h, w, 3) float32 in [0, 1]``: a view's pixels at its input's size.

        Raises:
            Cancelled: The request is no longer wanted.
            RasterError: The pixels cannot be read.
        """
        if run.should_stop():
            raise Cancelled("the clicks were not computed: the work was cancelled")
        began = time.perf_counter()
        at_level = window_at_level(view, self.source.levels)
        pixels = read_for_size(
            self.source, at_level, view.level, self.bands, view.shape, should_stop=run.should_stop
        )
        image = np.clip(resample(self.stretch.apply(pixels), view.shape), 0, 1)
        run.read_s += time.perf_counter() - began
        return image


def _finite(logits: FloatArray) -> FloatArray:
    """The logits.

    Raises:
        RasterError: Some are not finite.
    """
    if not np.isfinite(logits).all():
        raise RasterError(
            "the network's answer is not finite for these pixels; look for NaN or extreme "
            "values in the image, or choose other contrast limits"
        )
    return logits


def _see(step: Step, clicks: tuple[Click, ...]) -> Seen:
    """The step's object by the default post-processing, whatever the user's."""
    probs = step.window_probs()
    mask = step.mask(probs, clicks, PLAIN)
    grid = step.grid
    return Seen(step.logits, clicks, probs, mask, grid.to_window(mask_box(mask, grid.cells)))
