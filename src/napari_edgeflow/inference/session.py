"""One object at a time: clicks in, masks out, every step undoable."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_edgeflow._types import BoolArray, Click, FloatArray, Prediction, Window
from napari_edgeflow.errors import Cancelled, RasterError
from napari_edgeflow.inference.postprocess import mask_box, probs_to_mask
from napari_edgeflow.inference.predictor import SupportsPredict, network_shape
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
from napari_edgeflow.raster.open import open_raster
from napari_edgeflow.raster.source import RasterSource
from napari_edgeflow.raster.stretch import Stretch, default_bands, estimate_stretch

DECISION = 0.5
MOST_GROWTHS = 2
KEPT_STEPS = 128
FIRST_ZOOM_BELOW = 0.6


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds that the last click spent reading, in the network and in post-processing."""

    read_s: float = 0.0
    network_s: float = 0.0
    post_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Start:
    """A mask made elsewhere, at its place."""

    window: Window
    mask: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """What is known after a click; never changed, so undo is exact.

    Attributes:
        view: What the network saw.
        logits: ``(h, w) float32`` of the network's input size.
        prior: ``(h, w) float32``: goes into the next click.
        box: The object's box after this click at threshold 0.5, None when it is empty.
    """

    view: View
    logits: FloatArray
    prior: FloatArray
    box: Window | None


_Key = tuple[tuple[Click, ...], float | None, int]


class Session:
    """Turns clicks on one raster into the mask of one object, then of the next.

    The mask depends on the clicks, their order and the field of view alone: not on the
    threshold that was set meanwhile, not on undone steps. Not thread-safe.

    Args:
        image: Anything that ``open_raster`` takes, or a raster that it returned.
        predictor: Answers the clicks.
        field_of_view: Side in level-0 pixels of what the user looks at; None: the whole
            image up to 2048 px, else 1024.
        initial_mask: ``(H, W) bool`` of the whole raster, to be corrected.
        stretch: How bands become RGB; None: one global rule (``estimate_stretch``).

    Raises:
        RasterError: The image cannot be used.
        ValueError: The mask is not of the raster's shape, or the field of view not positive.
    """

    def __init__(
        self,
        image: Any,
        predictor: SupportsPredict,
        field_of_view: float | None = None,
        *,
        initial_mask: BoolArray | None = None,
        stretch: Stretch | None = None,
    ) -> None:
        is_source = hasattr(image, "read") and hasattr(image, "levels")
        self.source: RasterSource = image if is_source else open_raster(image)
        self._predictor = predictor
        self._bands = default_bands(self.source.n_bands)
        self._stretch = stretch or estimate_stretch(self.source, self._bands)
        self._threshold, self._largest_component = DECISION, True
        self._steps: OrderedDict[_Key, _Step] = OrderedDict()
        self._start: _Start | None = None
        self._begin(field_of_view)
        if initial_mask is not None:
            self.start_from(initial_mask)

    def _begin(self, field_of_view: float | None) -> None:
        if field_of_view is not None and not field_of_view > 0:
            raise ValueError(
                f"field_of_view must be a positive side in pixels, got {field_of_view}"
            )
        self._field_of_view = field_of_view
        self._history: list[tuple[Click, ...]] = [()]
        self._position = 0
        self._start = None
        self._steps.clear()
        self._prediction: Prediction | None = None
        self.timings = Timings()

    # -- what is known -----------------------------------------------------------------

    @property
    def clicks(self) -> tuple[Click, ...]:
        """Clicks of the current object in their order."""
        return self._history[self._position]

    @property
    def prediction(self) -> Prediction | None:
        """The current mask, None before the first click."""
        return self._prediction

    @property
    def can_undo(self) -> bool:
        """True when there is a step to take back."""
        return self._position > 0

    @property
    def can_redo(self) -> bool:
        """True when an undone step can be had again."""
        return self._position + 1 < len(self._history)

    @property
    def threshold(self) -> float:
        """Probability above which a pixel belongs to the object, in (0, 1)."""
        return self._threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        if not 0 < value < 1:
            raise ValueError(f"threshold must lie between 0 and 1, got {value}")
        self._threshold = float(value)
        self._refresh()

    @property
    def largest_component(self) -> bool:
        """Keep only the parts that hold a positive click."""
        return self._largest_component

    @largest_component.setter
    def largest_component(self, value: bool) -> None:
        self._largest_component = bool(value)
        self._refresh()

    @property
    def field_of_view(self) -> float | None:
        """Side in level-0 pixels of what the user looks at."""
        return self._field_of_view

    @field_of_view.setter
    def field_of_view(self, value: float | None) -> None:
        if self.clicks or self._start is not None:
            raise ValueError("field_of_view can change only before the first click of an object")
        self._begin(value)

    # -- clicks ------------------------------------------------------------------------

    def add_click(self, y: float, x: float, is_positive: bool = True) -> Prediction:
        """The mask after one click more.

        Args:
            y: Row in level-0 pixels, pixel centres on the integers.
            x: Column.
            is_positive: On the object or beside it.

        Raises:
            ValueError: The click lies outside the raster.
            RasterError: The pixels cannot be read.
        """
        prediction = self.set_clicks((*self.clicks, Click(y, x, is_positive)))
        if prediction is None:
            raise RuntimeError("a click always gives a prediction")
        return prediction

    def set_clicks(
        self, clicks: Sequence[Click], should_stop: Callable[[], bool] | None = None
    ) -> Prediction | None:
        """The mask for a whole new list of clicks, as when one was moved or deleted.

        Steps up to the first change are kept, the rest is computed again. Counts as one
        step for undo. None for an empty list without a mask to start from.

        Args:
            clicks: In their order.
            should_stop: Asked before every run of the network.

        Raises:
            ValueError: A click lies outside the raster.
            Cancelled: ``should_stop`` said so; nothing has changed.
        """
        wanted = tuple(clicks)
        for click in wanted:
            self._check_inside(click)
        if wanted == self.clicks:
            return self._prediction
        self._compute(wanted, should_stop)
        self._history = [*self._history[: self._position + 1], wanted]
        self._position += 1
        self._refresh()
        return self._prediction

    def undo(self) -> Prediction | None:
        """The state before the last step, exactly; the current one when there is none."""
        return self._go(self._position - 1)

    def redo(self) -> Prediction | None:
        """The state that was undone; the current one when there is none."""
        return self._go(self._position + 1)

    def _go(self, position: int) -> Prediction | None:
        if 0 <= position < len(self._history):
            self._compute(self._history[position], None)
            self._position = position
            self._refresh()
        return self._prediction

    def reset(self, field_of_view: float | None = None) -> None:
        """Drops clicks, history and the mask to start from.

        Args:
            field_of_view: For the next object; None keeps the current one.
        """
        self._begin(field_of_view if field_of_view is not None else self._field_of_view)

    def start_from(self, mask: BoolArray, window: Window | None = None) -> Prediction:
        """Begins an object with a mask made elsewhere; clicks then correct it.

        Args:
            mask: ``(h, w) bool`` of the window.
            window: Where it lies, level-0 pixels; None: the whole raster.

        Raises:
            ValueError: The mask is empty, not bool, or not of the window's shape.
        """
        height, width = self.source.shape
        window = window or Window(0, 0, height, width)
        if mask.dtype != np.bool_ or mask.shape != window.shape:
            raise ValueError(
                f"the mask must be bool of shape {window.shape}, got {mask.dtype} {mask.shape}"
            )
        if window.intersect(Window(0, 0, height, width)) != window:
            raise ValueError(f"{window} does not lie inside the raster of {height} × {width} px")
        box = mask_box(mask, window)
        if box is None:
            raise ValueError("the mask to start from is empty: it needs at least one pixel")
        self._begin(self._field_of_view)
        self._start = _Start(box, mask[box.relative_to(window).slices].copy())
        self._refresh()
        if self._prediction is None:
            raise RuntimeError("a start mask always gives a prediction")
        return self._prediction

    def finish(self) -> Prediction:
        """The final mask; the session is then ready for the next object.

        Raises:
            ValueError: There is no object yet.
        """
        if self._prediction is None:
            raise ValueError("there is nothing to finish: click on an object first")
        final = self._prediction
        self.reset()
        return final

    # -- computing -----------------------------------------------------------------------

    def _check_inside(self, click: Click) -> None:
        row, column = click.pixel
        height, width = self.source.shape
        if not (0 <= row < height and 0 <= column < width):
            raise ValueError(
                f"the click at y={click.y:g}, x={click.x:g} lies outside the image, whose rows "
                f"are 0…{height - 1} and columns 0…{width - 1}"
            )

    def _compute(self, clicks: tuple[Click, ...], should_stop: Callable[[], bool] | None) -> None:
        """Makes sure that the steps of all prefixes of ``clicks`` needed are known."""
        clock = _Clock()
        known = len(clicks)
        while known > 0 and self._key(clicks[:known]) not in self._steps:
            known -= 1
        for length in range(known + 1, len(clicks) + 1):
            before = self._steps.get(self._key(clicks[: length - 1]))
            step = self._next_step(before, clicks[:length], clock, should_stop)
            self._steps[self._key(clicks[:length])] = step
            while len(self._steps) > KEPT_STEPS:
                self._steps.popitem(last=False)
        self.timings = Timings(clock.read_s, clock.network_s, 0.0)

    def _key(self, clicks: tuple[Click, ...]) -> _Key:
        return clicks, self._field_of_view, id(self._start)

    def _next_step(
        self,
        before: _Step | None,
        clicks: tuple[Click, ...],
        clock: _Clock,
        should_stop: Callable[[], bool] | None,
    ) -> _Step:
        window, prior_view, prior = self._where(before, clicks)
        step = self._look(window, clicks, prior_view, prior, clock, should_stop)
        if len(clicks) == 1 and before is None and self._start is None:
            return self._look_closer(step, clicks, clock, should_stop)
        for _ in range(MOST_GROWTHS):
            grown = touched_window(step.logits > 0, step.view.window, self.source.shape)
            if grown is None:
                break
            step = self._look(grown, clicks, prior_view, prior, clock, should_stop)
        return step

    def _look_closer(
        self,
        step: _Step,
        clicks: tuple[Click, ...],
        clock: _Clock,
        should_stop: Callable[[], bool] | None,
    ) -> _Step:
        """After the first click: a second look at the object alone when it is small."""
        if step.box is None:
            return step
        window = object_window(step.box, clicks, self.source.shape)
        old = step.view.window
        if max(window.shape) >= FIRST_ZOOM_BELOW * max(old.shape):
            return step
        return self._look(window, clicks, None, None, clock, should_stop)

    def _where(
        self, before: _Step | None, clicks: tuple[Click, ...]
    ) -> tuple[Window, View | None, FloatArray | None]:
        """(window to look at, view of the prior, prior)."""
        shape = self.source.shape
        if before is None and self._start is not None:
            box = self._start.window
            window = object_window(box, clicks, shape)
            view = self._view(window)
            return window, view, self._start_prior(view)
        if before is None:
            return first_window(clicks[0], shape, self._field_of_view), None, None
        if before.box is None:
            old = before.view.window
            if all(old.contains(click) for click in clicks):
                return old, before.view, before.prior
            return object_window(old, clicks, shape), before.view, before.prior
        wanted = object_window(before.box, clicks, shape)
        if keeps_window(before.view.window, wanted, clicks):
            wanted = before.view.window
        return wanted, before.view, before.prior

    def _start_prior(self, view: View) -> FloatArray:
        """The prior for the mask to start from, at the view's input size."""
        if self._start is None:
            raise RuntimeError("no mask to start from")
        whole = np.zeros(view.window.shape, np.float32)
        common = self._start.window.intersect(view.window)
        if common is not None:
            whole[common.relative_to(view.window).slices] = self._start.mask[
                common.relative_to(self._start.window).slices
            ]
        return self._predictor.prior_from_mask(resample(whole, view.shape) > DECISION)

    def _view(self, window: Window) -> View:
        input_shape = network_shape(window.shape, self._predictor.input_side)
        return choose_view(window, self.source.levels, self.source.shape, input_shape)

    def _look(
        self,
        window: Window,
        clicks: tuple[Click, ...],
        prior_view: View | None,
        prior: FloatArray | None,
        clock: _Clock,
        should_stop: Callable[[], bool] | None,
    ) -> _Step:
        """One run of the network on a window."""
        if should_stop is not None and should_stop():
            raise Cancelled("the clicks were not computed: the work was cancelled")
        view = self._view(window)
        began = time.perf_counter()
        pixels = self.source.read(
            window_at_level(view, self.source.levels), view.level, self._bands
        )
        image = np.clip(resample(self._stretch.apply(pixels), view.shape), 0, 1)
        read = time.perf_counter()
        if prior is not None and prior_view is not None:
            prior = move_plane(prior, prior_view, view)
        raw = self._predictor.predict(image, [view.to_input(click) for click in clicks], prior)
        clock.read_s += read - began
        clock.network_s += time.perf_counter() - read
        if not np.isfinite(raw.logits).all():
            raise RasterError(
                "the network's answer is not finite for these pixels; look for NaN or extreme "
                "values in the image, or choose other contrast limits"
            )
        mask = probs_to_mask(
            _window_probs(raw.logits, view),
            view.window,
            clicks,
            threshold=DECISION,
            largest_component=True,
        )
        return _Step(view, raw.logits, raw.prior, mask_box(mask, view.window))

    # -- showing -------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Brings ``prediction`` up to date with clicks, threshold and options."""
        began = time.perf_counter()
        step = self._steps.get(self._key(self.clicks))
        if step is None:
            self._prediction = self._start_prediction()
        else:
            self._prediction = self._from_step(step)
        post_s = time.perf_counter() - began
        self.timings = Timings(self.timings.read_s, self.timings.network_s, post_s)

    def _start_prediction(self) -> Prediction | None:
        if self._start is None:
            return None
        probs = self._start.mask.astype(np.float32)
        return Prediction(self._start.window, probs, self._start.mask.copy(), 1.0)

    def _from_step(self, step: _Step) -> Prediction:
        probs = _window_probs(step.logits, step.view)
        mask = probs_to_mask(
            probs,
            step.view.window,
            self.clicks,
            threshold=self._threshold,
            largest_component=self._largest_component,
        )
        score = float(probs[mask].mean()) if mask.any() else 0.0
        return Prediction(step.view.window, probs, mask, score)


@dataclass(slots=True)
class _Clock:
    """Adds up the time of the runs behind one click."""

    read_s: float = 0.0
    network_s: float = 0.0


def _window_probs(logits: FloatArray, view: View) -> FloatArray:
    """``(h, w) float32 in [0, 1]`` of the view's window, one value a level-0 pixel."""
    values = resample(logits, view.window.shape)
    with np.errstate(over="ignore"):
        probs = 1 / (1 + np.exp(-values))
    return probs.astype(np.float32, copy=False)
