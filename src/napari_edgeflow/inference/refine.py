"""Large objects found at a coarse level, drawn again along their boundary, tile by tile.

The network looks at tiles at a finer scale, down to native resolution, around the boundary
that it has. In each it sees the mask so far as its prior, the user's clicks, and clicks of its
own: the pixels that lie deepest inside and outside of the mask so far. Without those, a tile
with no click of the user shows nothing of what is meant, and the answer is worse than the
coarse mask. Answers of overlapping tiles are blended, and count near the boundary alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np

from napari_edgeflow._types import (
    BoolArray,
    Click,
    FloatArray,
    MaskPatch,
    PostProcessing,
    Prediction,
    Window,
)
from napari_edgeflow.errors import Cancelled
from napari_edgeflow.inference.postprocess import probs_to_mask
from napari_edgeflow.inference.predictor import SHAPE_STEP, RawPrediction, SupportsPredict
from napari_edgeflow.inference.steps import Run, StepComputer
from napari_edgeflow.inference.tiling import (
    Cell,
    Lattice,
    Layers,
    deepest_pixels,
    near_boundary,
    without_islands,
)
from napari_edgeflow.inference.zoom import View, choose_view, move_plane

WORTHWHILE_GRAIN_PX = 2.0
REACH_GRAINS = 3.0
ANCHORS = 4
ANCHOR_DEPTH_PX = 4.0
MOST_ZOOM = 5.0
BATCH = 4

Progress = Callable[[int, int], None]


@runtime_checkable
class SupportsBatches(Protocol):
    """A predictor that answers several views of one size at once."""

    def predict_batch(
        self,
        images: Sequence[FloatArray],
        clicks: Sequence[Sequence[Click]],
        priors: Sequence[FloatArray],
    ) -> list[RawPrediction]:
        """What ``predict`` says of each."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Refinement:
    """What to refine and how.

    Attributes:
        look: Raster, stretch and network.
        clicks: All of the object.
        settings: Of the object; its threshold counts in every tile.
        progress: Called with the tiles done and an estimate of all.
        should_stop: Asked before every batch.
        batch: Tiles that the network sees at once.
    """

    look: StepComputer
    clicks: Sequence[Click]
    settings: PostProcessing
    progress: Progress = field(default=lambda _done, _total: None)
    should_stop: Callable[[], bool] = field(default=lambda: False)
    batch: int = BATCH


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """A cell after its tiles.

    Attributes:
        cell: Of the lattice.
        window: Level-0 pixels.
        logits: ``(h, w) float32`` where ``is_near``.
        is_near: ``(h, w) bool``: pixels that the tiles decide.
        mask: ``(h, w) bool`` of the cell.
    """

    cell: Cell
    window: Window
    logits: FloatArray
    is_near: BoolArray
    mask: BoolArray


def is_worthwhile(prediction: Prediction | None) -> bool:
    """True when the network saw the outline at half the raster's resolution, or less."""
    return (
        prediction is not None
        and prediction.grain_px >= WORTHWHILE_GRAIN_PX
        and bool(prediction.mask.any())
    )


def refine(prediction: Prediction, how: Refinement) -> Prediction:
    """The prediction with its outline at native resolution; as it was, when it is that already.

    Only what is inside the prediction's window is looked at. Up to 4096² pixels of window the
    answer holds every pixel, with probabilities; beyond, patches along the boundary over the
    coarse mask.

    Args:
        prediction: Found at a coarser scale.
        how: Network, clicks, progress.

    Raises:
        Cancelled: ``should_stop`` said so.
        RasterError: The pixels cannot be read.
    """
    base = MaskPatch(prediction.window, prediction.mask, prediction.scale)
    layers, grain, done = Layers((base, *prediction.patches)), prediction.grain_px, 0
    scales = stage_scales(grain)
    answers: list[_Answer] = []
    for number, scale in enumerate(scales):
        stage = _Stage.of(layers, how, scale, grain)
        cells = stage.cells()
        later = sum(len(cells) * scale // finer for finer in scales[number + 1 :])
        answers = []
        for count, ready in stage.run(cells):
            answers += ready
            how.progress(done + count, done + len(cells) + later)
        done += len(cells)
        found = {answer.cell: MaskPatch(answer.window, answer.mask, scale) for answer in answers}
        layers = replace(layers, stages=(*layers.stages, (stage.lattice, found)))
        grain = float(scale)
    if not scales:
        return prediction
    if prediction.is_whole:
        return _whole(prediction, layers, answers, how)
    return _patched(prediction, layers)


def stage_scales(grain_px: float) -> list[int]:
    """Powers of two down to 1, each at most five times finer than the one before, about evenly."""
    if grain_px < WORTHWHILE_GRAIN_PX:
        return []
    count = max(math.ceil(math.log(grain_px) / math.log(MOST_ZOOM)), 1)
    steps = [grain_px ** (1 - number / count) for number in range(1, count + 1)]
    return [1 << max(round(math.log2(step)), 0) for step in steps]


@dataclass(frozen=True, slots=True, eq=False)
class _Stage:
    """One pass along the boundary at one scale.

    Attributes:
        before: The mask so far.
        how: Network, clicks, progress.
        lattice: Cells and tiles.
        reach: Distance from the boundary so far up to which tiles decide, in tile pixels.
        weights: ``(side, side) float32``: of a tile's answer, largest in its middle.
        margin: Tile pixels of mask that a cell needs around it.
    """

    before: Layers
    how: Refinement
    lattice: Lattice
    reach: float
    weights: FloatArray
    margin: int

    @classmethod
    def of(cls, before: Layers, how: Refinement, scale: int, grain_px: float) -> _Stage:
        """The pass at ``scale`` over a boundary known to about ``grain_px``."""
        side = max(round(how.look.predictor.input_side / SHAPE_STEP), 1) * SHAPE_STEP
        lattice = Lattice(before.window, scale, side, how.look.source.shape)
        reach = REACH_GRAINS * grain_px / scale
        hann = np.hanning(side + 2)[1:-1]
        weights = (np.outer(hann, hann) + 1e-4).astype(np.float32)
        return cls(before, how, lattice, reach, weights, math.ceil(reach) + 1)

    def cells(self) -> list[Cell]:
        """The cells with a piece of boundary, row by row."""
        found: set[Cell] = set()
        for patch in self.before.newest:
            mask, window = self.before.around(patch.window, 1, patch.scale)
            found |= self.lattice.touched(MaskPatch(window, mask, patch.scale))
        return sorted(found)

    def run(self, cells: Sequence[Cell]) -> Iterator[tuple[int, list[_Answer]]]:
        """Tiles done and the cells that no later tile reaches, batch by batch.

        A tile reaches at most two rows of cells up, at the raster's border.
        """
        sums: dict[Cell, tuple[FloatArray, FloatArray]] = {}
        for start in range(0, len(cells), self.how.batch):
            if self.how.should_stop():
                raise Cancelled("the outline was not refined: the work was cancelled")
            batch = cells[start : start + self.how.batch]
            for tile, logits in self._look(batch):
                self._add(sums, tile, logits)
            count = start + len(batch)
            row = cells[count][0] - 2 if count < len(cells) else math.inf
            ready = sorted(cell for cell in sums if cell[0] < row)
            yield count, [self._answer(cell, *sums.pop(cell)) for cell in ready]

    def _look(self, cells: Sequence[Cell]) -> list[tuple[Window, FloatArray]]:
        """Tiles and their ``(h, w) float32`` logits; none for tiles without any object."""
        views, images, clicks, priors = [], [], [], []
        predictor, source = self.how.look.predictor, self.how.look.source
        for cell in cells:
            tile = self.lattice.tile(cell)
            mask = self._mask_of(tile)
            shown = self._clicks_in(tile, mask)
            if not any(click.is_positive for click in shown):
                continue
            view = choose_view(tile, source.levels, source.shape, mask.shape)
            views.append((tile, view, View(tile, view.level, mask.shape)))
            images.append(self.how.look.read(view, Run(self.how.should_stop)))
            clicks.append(shown)
            priors.append(predictor.prior_from_mask(mask))
        raw = _predict(predictor, images, clicks, priors)
        return [
            (tile, move_plane(answer.logits, view, wanted))
            for (tile, view, wanted), answer in zip(views, raw, strict=True)
        ]

    def _mask_of(self, tile: Window) -> BoolArray:
        """``(h, w) bool`` of a tile; it may reach beyond what the mask covers."""
        mask = np.zeros([-(-side // self.lattice.scale) for side in tile.shape], dtype=bool)
        inside = tile.intersect(self.before.window)
        if inside is not None:
            part = self.before.mask_in(inside, self.lattice.scale)
            y = (inside.y0 - tile.y0) // self.lattice.scale
            x = (inside.x0 - tile.x0) // self.lattice.scale
            mask[y : y + part.shape[0], x : x + part.shape[1]] = part
        return mask

    def _clicks_in(self, tile: Window, mask: BoolArray) -> list[Click]:
        """Clicks in the tile's pixels: the deepest of the mask so far, then the user's."""
        anchors = [
            Click(float(row), float(column), side)
            for side in (True, False)
            for row, column in deepest_pixels(mask == side, ANCHORS, ANCHOR_DEPTH_PX)
        ]
        view = View(tile, 0, mask.shape)
        inside = [view.to_input(click) for click in self.how.clicks if tile.contains(click)]
        return [*anchors, *inside]

    def _add(
        self, sums: dict[Cell, tuple[FloatArray, FloatArray]], tile: Window, logits: FloatArray
    ) -> None:
        """Adds a tile's weighted answer to the cells under it."""
        scale, common = self.lattice.scale, tile.intersect(self.before.window)
        if common is None:
            return
        weights = self.weights[: logits.shape[0], : logits.shape[1]]
        for cell in self.lattice.cells_in(common):
            window = self.lattice.cell(cell)
            part = window.intersect(tile)
            if part is None:
                continue
            if cell not in sums:
                shape = [-(-side // scale) for side in window.shape]
                sums[cell] = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
            theirs, ours = _cut(part, tile, scale), _cut(part, window, scale)
            total, weight = sums[cell]
            total[ours] += weights[theirs] * logits[theirs]
            weight[ours] += weights[theirs]

    def _answer(self, cell: Cell, total: FloatArray, weight: FloatArray) -> _Answer:
        """The cell's mask: the blended answers near the boundary so far, else as it was."""
        window, scale = self.lattice.cell(cell), self.lattice.scale
        mask, grown = self.before.around(window, self.margin, scale)
        place = _cut(window, grown, scale)
        is_near = near_boundary(mask, self.reach)[place] & (weight > 0)
        before = mask[place]
        logits = np.where(is_near, total / np.maximum(weight, 1e-6), 0).astype(np.float32)
        threshold = self.how.settings.threshold
        is_in = logits > math.log(threshold / (1 - threshold))
        after = without_islands(np.where(is_near, is_in, before), ~is_near)
        return _Answer(cell, window, logits, is_near, self._obeyed(after, window))

    def _obeyed(self, mask: BoolArray, window: Window) -> BoolArray:
        """The mask with the pixels of the user's clicks as they say; in place."""
        scale = self.lattice.scale
        for click in self.how.clicks:
            if window.contains(click) and not click.is_boundary:
                row, column = click.pixel
                at = (row - window.y0) // scale, (column - window.x0) // scale
                mask[at] = click.is_positive
        return mask


def _predict(
    predictor: SupportsPredict,
    images: Sequence[FloatArray],
    clicks: Sequence[Sequence[Click]],
    priors: Sequence[FloatArray],
) -> list[RawPrediction]:
    """The answers; at once where the predictor can and the sizes are the same."""
    is_even = len({image.shape for image in images}) == 1
    if is_even and len(images) > 1 and isinstance(predictor, SupportsBatches):
        return predictor.predict_batch(images, clicks, priors)
    each = zip(images, clicks, priors, strict=True)
    return [predictor.predict(image, shown, prior) for image, shown, prior in each]


def _cut(part: Window, outer: Window, scale: int) -> tuple[slice, slice]:
    """Where ``part`` lies in an array of ``outer`` in cells; cut cells at the end count whole."""
    y0, x0 = (part.y0 - outer.y0) // scale, (part.x0 - outer.x0) // scale
    y1, x1 = -(-(part.y1 - outer.y0) // scale), -(-(part.x1 - outer.x0) // scale)
    return slice(y0, y1), slice(x0, x1)


def _whole(
    prediction: Prediction, layers: Layers, answers: Sequence[_Answer], how: Refinement
) -> Prediction:
    """All pixels of the window, with probabilities that go with them."""
    window, threshold = prediction.window, how.settings.threshold
    mask = layers.mask_in(window, 1)
    differs = mask != (prediction.probs > threshold)
    probs = np.where(differs, mask.astype(np.float32), prediction.probs)
    for answer in answers:
        place = answer.window.relative_to(window).slices
        near = 1 / (1 + np.exp(-np.clip(answer.logits, -80, 80)))
        probs[place] = np.where(answer.is_near, near, probs[place])
    probs = probs.astype(np.float32)
    mask = probs_to_mask(probs, window, how.clicks, how.settings)
    score = float(probs[mask].mean()) if mask.any() else 0.0
    return Prediction(window, probs, mask, score, is_refined=True)


def _patched(prediction: Prediction, layers: Layers) -> Prediction:
    """The coarse mask brought up to date, under all the patches."""
    fine = replace(prediction, patches=layers.fine)
    mask = fine.mask_in(prediction.window, prediction.scale)
    return replace(fine, mask=mask, grain_px=1.0, is_refined=True)
