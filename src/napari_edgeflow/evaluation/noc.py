"""Figures of interactive segmentation: IoU, number of clicks, clicks that made it worse."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_edgeflow._types import BoolArray

DROP_MARGIN = 0.01
"""A click made it worse when the IoU falls by more than this."""

DROP_CLICKS = 10
"""Clicks that ``drop_rate`` looks at; the first one starts from nothing and cannot fall."""

NOC_CLICKS = 20
"""Clicks after which NoC counts an object as failed, even where the user went on (RITM's NoC20)."""

THRESHOLDS = (0.85, 0.90, 0.95)


@dataclass(frozen=True, slots=True)
class LongSummary:
    """What more than 20 clicks brought (RITM's NoC100 and failures, its section 5.1).

    Attributes:
        clicks: The most clicks that were allowed.
        noc85: Mean number of clicks to an IoU of 0.85; a failure counts as ``clicks``.
        noc90: The same to 0.90.
        noc95: The same to 0.95.
        nof85: Objects that never reached 0.85.
        nof90: Objects that never reached 0.90.
        nof95: Objects that never reached 0.95.
    """

    clicks: int
    noc85: float
    noc90: float
    noc95: float
    nof85: int
    nof90: int
    nof95: int


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """The figures of one data set, in the words of ``report.json``.

    Attributes:
        dataset: Its name.
        objects: Objects that were clicked on.
        noc85: Mean number of clicks to an IoU of 0.85, at most 20; a failure counts as the most.
        noc90: The same to 0.90.
        noc95: The same to 0.95.
        nof85: Objects that did not reach 0.85 within these clicks.
        nof90: Objects that did not reach 0.90.
        miou_at: Mean IoU after 1, 2, … clicks.
        drop_rate: Share of the clicks 2…10 after which the IoU fell by more than 0.01.
        seconds_per_click_median: Of all clicks.
        nof95: Objects that did not reach 0.95.
        late85: RITM's ">=20": objects that took the most clicks to 0.85, or never got there.
        late90: The same to 0.90.
        late95: The same to 0.95.
        stability: Mean IoU of the masks before and after each of the clicks 2…10, outside of the
            click's neighbourhood; None where there is no such click.
        seconds_per_click_mean: Of all clicks.
        long: What clicks after the twentieth brought; None where there were to be none.
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
    nof95: int
    late85: int
    late90: int
    late95: int
    stability: float | None
    seconds_per_click_mean: float
    long: LongSummary | None = None


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
    stabilities: Sequence[Sequence[float]] = (),
) -> DatasetSummary:
    """The figures of a data set.

    Args:
        dataset: Its name.
        ious: For each object, the IoU after each of its clicks (at least one).
        seconds: For each object, the duration of each of its clicks.
        max_clicks: Clicks after which the user gave up.
        stabilities: For each object, the stability of each of its clicks but the first.

    Raises:
        ValueError: There is no object.
    """
    if not ious:
        raise ValueError(f"{dataset}: expected at least one object to summarise, got none")
    most = min(max_clicks, NOC_CLICKS)
    noc85, noc90, noc95 = (_noc(ious, t, most) for t in THRESHOLDS)
    curves = np.array([carried_forward(curve, max_clicks) for curve in ious])
    drops = [count_drops(curve) for curve in ious]
    looked_at = sum(clicks for _, clicks in drops)
    return DatasetSummary(
        dataset=dataset,
        objects=len(ious),
        noc85=statistics.fmean(noc85.clicks),
        noc90=statistics.fmean(noc90.clicks),
        noc95=statistics.fmean(noc95.clicks),
        nof85=noc85.failures,
        nof90=noc90.failures,
        miou_at=tuple(float(value) for value in curves.mean(axis=0)),
        drop_rate=sum(fallen for fallen, _ in drops) / looked_at if looked_at else 0.0,
        seconds_per_click_median=statistics.median(s for clicks in seconds for s in clicks),
        nof95=noc95.failures,
        late85=noc85.late,
        late90=noc90.late,
        late95=noc95.late,
        stability=mean_stability(stabilities),
        seconds_per_click_mean=statistics.fmean(s for clicks in seconds for s in clicks),
        long=_long(ious, max_clicks) if max_clicks > NOC_CLICKS else None,
    )


def mean_stability(stabilities: Sequence[Sequence[float]]) -> float | None:
    """Mean of the clicks 2…10 of all objects; None where nothing can be said."""
    known = [
        value
        for values in stabilities
        for value in values[: DROP_CLICKS - 1]
        if not math.isnan(value)
    ]
    return statistics.fmean(known) if known else None


@dataclass(frozen=True, slots=True)
class _Noc:
    """Clicks of every object to one IoU, at most ``most``; how many never got there."""

    clicks: list[int]
    failures: int
    most: int

    @property
    def late(self) -> int:
        """Objects that took the most clicks, failures among them."""
        return self.clicks.count(self.most)


def _noc(ious: Sequence[Sequence[float]], threshold: float, most: int) -> _Noc:
    reached = [clicks_to_reach(curve[:most], threshold) for curve in ious]
    return _Noc([most if n is None else n for n in reached], reached.count(None), most)


def _long(ious: Sequence[Sequence[float]], max_clicks: int) -> LongSummary:
    noc85, noc90, noc95 = (_noc(ious, t, max_clicks) for t in THRESHOLDS)
    return LongSummary(
        clicks=max_clicks,
        noc85=statistics.fmean(noc85.clicks),
        noc90=statistics.fmean(noc90.clicks),
        noc95=statistics.fmean(noc95.clicks),
        nof85=noc85.failures,
        nof90=noc90.failures,
        nof95=noc95.failures,
    )
