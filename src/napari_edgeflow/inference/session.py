"""One object at a time: clicks in, masks out, every step undoable."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_edgeflow._types import (
    BoolArray,
    Click,
    ClickKind,
    PostProcessing,
    Prediction,
    Window,
)
from napari_edgeflow.clicks.encode import kind_index
from napari_edgeflow.inference import refine
from napari_edgeflow.inference.cascade import finest_stage, step_computer
from napari_edgeflow.inference.checks import check_inside, check_order, check_stretch
from napari_edgeflow.inference.cleaning import mask_box
from napari_edgeflow.inference.known_steps import KnownSteps
from napari_edgeflow.inference.postprocess import PLAIN
from napari_edgeflow.inference.predictor import SupportsPredict
from napari_edgeflow.inference.showing import RefinedMasks, start_prediction, step_prediction
from napari_edgeflow.inference.steps import Run, Start
from napari_edgeflow.raster.open import open_raster
from napari_edgeflow.raster.source import RasterSource
from napari_edgeflow.raster.stretch import Stretch, default_bands, estimate_stretch


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds that the last click spent reading, in the network and in post-processing."""

    read_s: float = 0.0
    network_s: float = 0.0
    post_s: float = 0.0


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
        bands: One to three bands that the network sees; None: the first three, or all of fewer.

    Raises:
        RasterError: The image cannot be used.
        ValueError: The mask is not of the raster's shape, the field of view is not positive, or
            the stretch is for another number of bands.
    """

    def __init__(
        self,
        image: Any,
        predictor: SupportsPredict,
        field_of_view: float | None = None,
        *,
        initial_mask: BoolArray | None = None,
        stretch: Stretch | None = None,
        bands: Sequence[int] | None = None,
    ) -> None:
        is_source = hasattr(image, "read") and hasattr(image, "levels")
        self.source: RasterSource = image if is_source else open_raster(image)
        chosen = default_bands(self.source.n_bands) if bands is None else tuple(bands)
        stretch = stretch or estimate_stretch(self.source, chosen)
        check_stretch(stretch, len(chosen))
        self._predictor = predictor
        self._computer = step_computer(self.source, predictor, chosen, stretch)
        self._postprocessing = PLAIN
        self._steps = KnownSteps(self._computer, predictor)
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
        self._steps.begin(field_of_view)
        self._refined = RefinedMasks()
        self._prediction: Prediction | None = None
        self.timings = Timings()

    # -- what is known -----------------------------------------------------------------

    @property
    def click_kinds(self) -> tuple[ClickKind, ...]:
        """Kinds of clicks that the model takes: ``positive``, ``negative``, ``boundary``."""
        return self._predictor.click_kinds

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
    def postprocessing(self) -> PostProcessing:
        """Threshold and clean-up of this object and the next; setting it runs no network."""
        return self._postprocessing

    @postprocessing.setter
    def postprocessing(self, value: PostProcessing) -> None:
        self._postprocessing = value
        self._refresh()

    @property
    def threshold(self) -> float:
        """Probability above which a pixel belongs to the object, in (0, 1)."""
        return self._postprocessing.threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        self.postprocessing = replace(self._postprocessing, threshold=float(value))

    @property
    def largest_component(self) -> bool:
        """Keep only the parts that hold a positive click."""
        return self._postprocessing.largest_component

    @largest_component.setter
    def largest_component(self, value: bool) -> None:
        self.postprocessing = replace(self._postprocessing, largest_component=bool(value))

    @property
    def field_of_view(self) -> float | None:
        """Side in level-0 pixels of what the user looks at."""
        return self._field_of_view

    @field_of_view.setter
    def field_of_view(self, value: float | None) -> None:
        if self.clicks or self._steps.start is not None:
            raise ValueError("field_of_view can change only before the first click of an object")
        self._begin(value)

    # -- clicks ------------------------------------------------------------------------

    def add_click(
        self, y: float, x: float, is_positive: bool = True, *, is_boundary: bool = False
    ) -> Prediction:
        """The mask after one click more.

        Args:
            y: Row in level-0 pixels, pixel centres on the integers.
            x: Column.
            is_positive: On the object or beside it.
            is_boundary: On the object's boundary, whatever ``is_positive`` says; corrects an
                object that there already is, for the models that take such clicks.

        Raises:
            ValueError: The click lies outside the raster, the model does not take its kind,
                or it is the object's first and on its boundary.
            RasterError: The pixels cannot be read.
        """
        prediction = self.set_clicks((*self.clicks, Click(y, x, is_positive, is_boundary)))
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
            ValueError: A click lies outside the raster, is of a kind that the model does not
                take, or on the boundary of an object on which there is no click yet.
            Cancelled: ``should_stop`` said so; nothing has changed.
        """
        wanted = tuple(clicks)
        for click in wanted:
            check_inside(click, self.source.shape)
            kind_index(click, self.click_kinds)
        check_order(wanted, has_start=self._steps.start is not None)
        if wanted == self.clicks:
            return self._prediction
        self._compute(wanted, should_stop)
        self._history = [*self._history[: self._position + 1], wanted]
        self._position += 1
        self._refresh()
        return self._prediction

    def peek(
        self,
        clicks: Sequence[Click],
        field_of_view: float | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Prediction | None:
        """The mask that these clicks would give; clicks, mask and history stay as they are.

        What was worked out for the last ones is kept: adding just them then runs no network.

        Args:
            clicks: Those of the object and one more, or the first one of the next object.
            field_of_view: Of the next object; None: the present object is meant.
            should_stop: Asked before every run of the network.

        Returns:
            None where the mask without the last click is not known.

        Raises:
            ValueError: A click lies outside the raster, or the model takes none of its kind.
            Cancelled: ``should_stop`` said so.
        """
        wanted, run = tuple(clicks), Run(should_stop)
        for click in wanted:
            check_inside(click, self.source.shape)
            kind_index(click, self.click_kinds)
        step = self._steps.peek(wanted, field_of_view, run)
        if step is None:
            return None
        return step_prediction(step, wanted, run.seen, self._postprocessing)

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
        mask = np.asarray(mask)
        if mask.dtype != np.bool_ or mask.shape != window.shape:
            raise ValueError(
                f"the mask must be bool of shape {window.shape}, got {mask.dtype} {mask.shape}; "
                "mask > 0 makes one of labels"
            )
        if window.intersect(Window(0, 0, height, width)) != window:
            raise ValueError(f"{window} does not lie inside the raster of {height} × {width} px")
        box = mask_box(mask, window)
        if box is None:
            raise ValueError("the mask to start from is empty: it needs at least one pixel")
        self._begin(self._field_of_view)
        start = Start.of(box, mask[box.relative_to(window).slices].copy())
        self._steps.begin(self._field_of_view, start)
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

    # -- a finer outline -----------------------------------------------------------------

    @property
    def can_refine(self) -> bool:
        """True when the network saw the outline at half the raster's resolution, or less."""
        return refine.is_worthwhile(self._prediction)

    @property
    def is_refined(self) -> bool:
        """True while the outline shown was refined."""
        return self._prediction is not None and self._prediction.is_refined

    def refine(
        self,
        progress: refine.Progress = lambda _done, _total: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Prediction:
        """The mask with its outline drawn again at native resolution, tile by tile.

        It stays with the clicks: undo and redo find it again; another click begins from the
        coarse mask. Up to 4096² pixels the threshold and clean-up still run no network; beyond,
        another threshold shows the coarse mask.

        Args:
            progress: Called with the tiles done and an estimate of all.
            should_stop: Asked before every few tiles.

        Raises:
            ValueError: There is no object yet.
            Cancelled: ``should_stop`` said so; nothing has changed.
            RasterError: The pixels cannot be read.
        """
        if self._prediction is None:
            raise ValueError("there is no outline to refine: click on an object first")
        if not self.can_refine:
            return self._prediction
        how = refine.Refinement(
            finest_stage(self._computer), self.clicks, self._postprocessing, progress, should_stop
        )
        found = refine.refine(self._prediction, how)
        self._refined.put(self._steps.key(self.clicks), found, self._postprocessing)
        self._refresh()
        return found

    def unrefine(self) -> Prediction | None:
        """The mask as it was before ``refine``."""
        if self._refined.drop(self._steps.key(self.clicks)):
            self._refresh()
        return self._prediction

    # -- computing -----------------------------------------------------------------------

    def _compute(self, clicks: tuple[Click, ...], should_stop: Callable[[], bool] | None) -> None:
        """Makes sure that the step after these clicks is known."""
        run = Run() if should_stop is None else Run(should_stop)
        self._steps.compute(clicks, run)
        self.timings = Timings(run.read_s, run.network_s, 0.0)

    # -- showing -------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Brings ``prediction`` up to date with clicks, threshold and options."""
        began = time.perf_counter()
        step = self._steps.get(self.clicks)
        refined = self._refined.get(self._steps.key(self.clicks), self._postprocessing)
        if refined is not None:
            self._prediction = refined
        elif step is None:
            self._prediction = self._start_prediction()
        else:
            self._prediction = step_prediction(
                step, self.clicks, self._steps.seen, self._postprocessing
            )
        post_s = time.perf_counter() - began
        self.timings = Timings(self.timings.read_s, self.timings.network_s, post_s)

    def _start_prediction(self) -> Prediction | None:
        start = self._steps.start
        if start is None:
            return None
        return start_prediction(start, self.source.shape, self._postprocessing)
