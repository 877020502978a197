"""Figures of interactive segmentation: IoU, number of clicks, clicks that made it worse."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_edgeflow._types import BoolArray

DROP_MARGIN = 0.01
"""A click made it worse when the IoU falls by more than this."""

DROP_CLICKS = 10
"""Clicks that ``drop_rate`` looks at; the first one starts from nothing and cannot fall."""


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """The figures of one data set, in the words of ``report.json``.

    Attributes:
        dataset: Its name.
        objects: Objects that were clicked on.
        noc85: Mean number of clicks to an IoU of 0.85; a failure counts as the most clicks.
        noc90: The same to 0.90.
        noc95: The same to 0.95.
        nof85: Objects that never reached 0.85.
        nof90: Objects that never reached 0.90.
        miou_at: Mean IoU after 1, 2, … clicks.
        drop_rate: Share of the clicks 2…10 after which the IoU fell by more than 0.01.
        seconds_per_click_median: Of all clicks.
    """

    dataset: str
    objects: int
    noc85: float
    noc90: float
    noc95: float
    nof85: int
    nof90: int
    miou_at: tuple[float, ...]
    drop_rate: float
    seconds_per_click_median: float


def iou(predicted: BoolArray, truth: BoolArray, ignore: BoolArray) -> float:
    """IoU in [0, 1] of two ``(H, W)`` masks outside of ``ignore``; 1 when both are empty."""
    judged = ~ignore
    union = int(np.count_nonzero((predicted | truth) & judged))
    return int(np.count_nonzero(predicted & truth & judged)) / union if union else 1.0


def clicks_to_reach(ious: Sequence[float], threshold: float) -> int | None:
    """Number of the first click after which the IoU is at least ``threshold``; None if never."""
    return next((i for i, value in enumerate(ious, start=1) if value >= threshold), None)


def count_drops(ious: Sequence[float]) -> tuple[int, int]:
    """(clicks after which the IoU fell by more than 0.01, clicks looked at): clicks 2…10."""
    first = ious[:DROP_CLICKS]
    falls = [before - after > DROP_MARGIN for before, after in itertools.pairwise(first)]
    return sum(falls), len(falls)


def carried_forward(ious: Sequence[float], max_clicks: int) -> list[float]:
    """``max_clicks`` values: a user who stopped keeps the mask of the last click."""
    return [*ious, *[ious[-1]] * (max_clicks - len(ious))]


def summarise(
    dataset: str,
    ious: Sequence[Sequence[float]],
    seconds: Sequence[Sequence[float]],
    max_clicks: int,
) -> DatasetSummary:
    """The figures of a data set.

    Args:
        dataset: Its name.
        ious: For each object, the IoU after each of its clicks (at least one).
        seconds: For each object, the duration of each of its clicks.
        max_clicks: Clicks after which the user gave up.

    Raises:
        ValueError: There is no object.
    """
    if not ious:
        raise ValueError(f"{dataset}: expected at least one object to summarise, got none")
    reached = {t: [clicks_to_reach(curve, t) for curve in ious] for t in (0.85, 0.90, 0.95)}
    noc = {
        t: statistics.fmean(max_clicks if n is None else n for n in counts)
        for t, counts in reached.items()
    }
    curves = np.array([carried_forward(curve, max_clicks) for curve in ious])
    drops = [count_drops(curve) for curve in ious]
    looked_at = sum(clicks for _, clicks in drops)
    return DatasetSummary(
        dataset=dataset,
        objects=len(ious),
        noc85=noc[0.85],
        noc90=noc[0.90],
        noc95=noc[0.95],
        nof85=reached[0.85].count(None),
        nof90=reached[0.90].count(None),
        miou_at=tuple(float(value) for value in curves.mean(axis=0)),
        drop_rate=sum(fallen for fallen, _ in drops) / looked_at if looked_at else 0.0,
        seconds_per_click_median=statistics.median(s for clicks in seconds for s in clicks),
    )
