"""Predictions from what the network said, or from a mask that was there before."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import numpy as np

from napari_edgeflow._types import Click, PostProcessing, Prediction, Window
from napari_edgeflow.inference.cleaning import clean_cut
from napari_edgeflow.inference.grid import Grid
from napari_edgeflow.inference.known_steps import Key
from napari_edgeflow.inference.postprocess import PLAIN, probs_to_mask
from napari_edgeflow.inference.steps import Seen, Start, Step

KEPT_REFINED = 2


class RefinedMasks:
    """The last refined masks, by the clicks that they belong to."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, tuple[Prediction, PostProcessing]] = OrderedDict()

    def put(self, key: Key, refined: Prediction, postprocessing: PostProcessing) -> None:
        """Keep a mask that was refined with this post-processing."""
        self._kept[key] = refined, postprocessing
        while len(self._kept) > KEPT_REFINED:
            self._kept.popitem(last=False)

    def drop(self, key: Key) -> bool:
        """False when there was none."""
        return self._kept.pop(key, None) is not None

    def get(self, key: Key, postprocessing: PostProcessing) -> Prediction | None:
        """The refined mask with this post-processing, None when it cannot be had."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        found, settings = kept
        if settings == postprocessing:
            return found
        if not found.is_whole:
            return None
        mask = probs_to_mask(found.probs, found.window, key[0], postprocessing)
        return replace(found, mask=mask)


def start_prediction(
    start: Start, shape: tuple[int, int], postprocessing: PostProcessing
) -> Prediction:
    """The mask to start from, cleaned; the raster has ``shape`` (rows, columns)."""
    grid = Grid(start.window, start.scale)
    settings = grid.settings(postprocessing)
    (height, width), seen, cells = shape, start.window, grid.cells
    whole = Window(  # reaches beyond the cells where the raster does
        cells.y0 - (seen.y0 > 0),
        cells.x0 - (seen.x0 > 0),
        cells.y1 + (seen.y1 < height),
        cells.x1 + (seen.x1 < width),
    )
    mask = clean_cut(start.mask, cells, (), settings, whole)
    fine = start.fine if np.array_equal(mask, start.mask) else ()
    probs = start.mask.astype(np.float32)
    return Prediction(start.window, probs, mask, 1.0, start.scale, patches=fine)


def step_prediction(
    step: Step, clicks: tuple[Click, ...], seen: Seen | None, postprocessing: PostProcessing
) -> Prediction:
    """The mask after a step; ``seen`` spares what was worked out with it already."""
    window = step.view.window
    if seen is not None and seen.logits is step.logits:
        probs = seen.probs
    else:
        seen, probs = None, step.window_probs()
    if seen is not None and seen.clicks == clicks and postprocessing == PLAIN:
        mask = seen.mask.copy()
    else:
        mask = step.mask(probs, clicks, postprocessing)
    score = float(probs[mask].mean()) if mask.any() else 0.0
    grid = step.grid
    pixels = grid.disobeyed(mask, clicks)
    return Prediction(window, probs, mask, score, grid.scale, step.grain_px, pixels)
