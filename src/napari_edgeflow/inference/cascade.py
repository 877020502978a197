"""Two stages for each click: the whole view finds what is meant, a zoomed window draws it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from napari_edgeflow._types import Click, FloatArray, Window
from napari_edgeflow.inference.predictor import SupportsPredict
from napari_edgeflow.inference.steps import ComputesSteps, Run, Start, Step, StepComputer
from napari_edgeflow.inference.zoom import (
    View,
    adaptive_expansion,
    first_window,
    object_window,
)
from napari_edgeflow.raster.source import RasterSource
from napari_edgeflow.raster.stretch import Stretch

_Look = Callable[[Window, tuple[Click, ...], tuple[View, FloatArray], Run], Step]


@dataclass(frozen=True, slots=True, eq=False)
class CascadeComputer:
    """Computes steps with a coarse and a fine stage; holds no state of its own.

    Intention-aware feature propagation (section 3.2): at every click the coarse stage looks
    at the whole view with the last mask; the fine one at the coarse mask's box, expanded the
    more the smaller it is, with the coarse mask as its prior.

    The whole view is the field of view around the first click, or the expanded box of the
    mask to start from. It grows where a click lies outside, and where the object meets its
    border.

    Attributes:
        coarse: Looks at the whole view.
        fine: Looks at the zoomed window.
    """

    coarse: StepComputer
    fine: StepComputer

    def first(self, click: Click, field_of_view: float | None, run: Run) -> Step:
        """The field of view as it is, then the object in it."""
        whole = first_window(click, self.coarse.source.shape, field_of_view)
        seen = self.coarse.look(whole, (click,), None, run)
        return self._zoom(seen, (click,), self.fine.look, run)

    def first_correction(self, start: Start, clicks: tuple[Click, ...], run: Run) -> Step:
        """The mask's surroundings, then the object."""
        whole = object_window(start.window, clicks, self.coarse.source.shape)
        seen = self.coarse.grow(whole, clicks, self.coarse.start_prior(start, whole), run)
        return self._zoom(seen, clicks, self.fine.grow, run)

    def later(self, before: Step, clicks: tuple[Click, ...], run: Run) -> Step:
        """The whole view again, with the last mask, then the object in it."""
        whole = before.whole or before.view.window
        if not all(whole.contains(click) for click in clicks):
            whole = object_window(whole, clicks, self.coarse.source.shape)
        seen = self.coarse.grow(whole, clicks, (before.view, before.prior), run)
        return self._zoom(seen, clicks, self.fine.grow, run)

    def _zoom(self, seen: Step, clicks: tuple[Click, ...], look: _Look, run: Run) -> Step:
        window = seen.view.window
        if seen.box is not None:
            expansion = adaptive_expansion(seen.box, window)
            window = object_window(seen.box, clicks, self.fine.source.shape, expansion)
        step = look(window, clicks, (seen.view, seen.prior), run)
        return replace(step, whole=seen.view.window)


def step_computer(
    source: RasterSource, predictor: SupportsPredict, bands: tuple[int, ...], stretch: Stretch
) -> ComputesSteps:
    """What computes steps with the predictor's one or two stages.

    Raises:
        ValueError: The predictor has more stages.
    """
    stages = [StepComputer(source, stage, bands, stretch) for stage in predictor.stages]
    if len(stages) == 1:
        return stages[0]
    if len(stages) == 2:
        return CascadeComputer(*stages)
    raise ValueError(f"expected a model of one or two stages, got {len(stages)}")


def finest_stage(computer: ComputesSteps) -> StepComputer:
    """What looks at the object most closely.

    Raises:
        TypeError: It is neither a single stage nor a cascade.
    """
    last = computer.fine if isinstance(computer, CascadeComputer) else computer
    if not isinstance(last, StepComputer):
        raise TypeError(f"expected one or two stages, got {type(computer).__name__}")
    return last
