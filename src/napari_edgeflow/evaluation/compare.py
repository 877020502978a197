"""Several models on the same objects: paired differences and how sure they are."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_edgeflow.evaluation.noc import NOC_CLICKS, carried_forward, clicks_to_reach
from napari_edgeflow.evaluation.records import ObjectRecord
from napari_edgeflow.evaluation.results import Key

RESAMPLES = 2000
INTERVAL = 0.95
ALL = "all objects"
"""Name of the row of the objects of all data sets together."""

_AT_ONCE = 1_000_000
"""Draws held in memory at a time."""

Metric = Callable[[ObjectRecord, int], float]
Records = Mapping[Key, ObjectRecord]


def _noc(threshold: float) -> Metric:
    def clicks(record: ObjectRecord, max_clicks: int) -> float:
        most = min(max_clicks, NOC_CLICKS)
        return float(clicks_to_reach(record.ious[:most], threshold) or most)

    return clicks


def _iou_after(count: int) -> Metric:
    return lambda record, max_clicks: carried_forward(record.ious, max(max_clicks, count))[
        count - 1
    ]


METRICS: dict[str, Metric] = {
    "noc85": _noc(0.85),
    "noc90": _noc(0.90),
    "noc95": _noc(0.95),
    "miou1": _iou_after(1),
    "miou3": _iou_after(3),
    "miou5": _iou_after(5),
}
"""Figures of one object, by their names in ``report.json``; the first three are better low."""


CLICKS_NEEDED = {"miou3": 3, "miou5": 5}
"""Figures that mean nothing where the user gave up before that many clicks."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of one model against the reference, on the same objects.

    Attributes:
        dataset: Name of the data set, or ``all objects``.
        model: The model compared.
        metric: Key of ``METRICS``.
        objects: Objects that both clicked on.
        reference: Mean of the reference.
        mean: Mean of the model.
        difference: ``mean - reference``.
        low: Lower end of the 95 % bootstrap interval of the difference.
        high: Upper end.
    """

    dataset: str
    model: str
    metric: str
    objects: int
    reference: float
    mean: float
    difference: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """True when the interval does not hold zero."""
        return self.low > 0 or self.high < 0


def compare(
    records: Mapping[str, Records], max_clicks: int, *, seed: int = 0, resamples: int = RESAMPLES
) -> list[Difference]:
    """The differences of every model to the first, per data set and over all objects.

    Objects are resampled with replacement; each keeps its pair of figures. The draws depend on
    ``seed`` and the number of objects only.

    Args:
        records: By model; the first one is the reference. All hold the same objects.
        max_clicks: Clicks after which the user gave up.
        seed: Of the draws.
        resamples: Number of draws.

    Raises:
        ValueError: Fewer than two models, or other objects than the reference's.
    """
    if len(records) < 2:
        raise ValueError(f"expected at least two models to compare, got {len(records)}")
    reference, *others = records
    keys = list(records[reference])
    for model in others:
        if set(records[model]) != set(keys):
            raise ValueError(f"{model} and {reference} did not click on the same objects")
    groups = {
        name: [key for key in keys if key[0] == name]
        for name in dict.fromkeys(key[0] for key in keys)
    }
    if len(groups) > 1:
        groups[ALL] = keys
    return [
        _difference(
            (dataset, model, metric),
            [METRICS[metric](records[reference][key], max_clicks) for key in group],
            [METRICS[metric](records[model][key], max_clicks) for key in group],
            np.random.default_rng(seed),
            resamples,
        )
        for dataset, group in groups.items()
        for model in others
        for metric in METRICS
        if CLICKS_NEEDED.get(metric, 1) <= max_clicks
    ]


def bootstrap_interval(
    values: Sequence[float], rng: np.random.Generator, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """(low, high): the 95 % percentile interval of the mean of ``values``, by resampling them."""
    array = np.asarray(values, dtype=np.float64)
    rows = max(1, _AT_ONCE // len(array))
    means: list[npt.NDArray[np.float64]] = []
    for start in range(0, resamples, rows):
        drawn = rng.integers(len(array), size=(min(rows, resamples - start), len(array)))
        means.append(array[drawn].mean(axis=1))
    edge = 100 * (1 - INTERVAL) / 2
    low, high = np.percentile(np.concatenate(means), [edge, 100 - edge])
    return float(low), float(high)


def _difference(
    names: tuple[str, str, str],
    reference: Sequence[float],
    values: Sequence[float],
    rng: np.random.Generator,
    resamples: int,
) -> Difference:
    differences = [value - before for value, before in zip(values, reference, strict=True)]
    low, high = bootstrap_interval(differences, rng, resamples)
    dataset, model, metric = names
    return Difference(
        dataset=dataset,
        model=model,
        metric=metric,
        objects=len(values),
        reference=statistics.fmean(reference),
        mean=statistics.fmean(values),
        difference=statistics.fmean(differences),
        low=low,
        high=high,
    )
