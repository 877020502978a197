"""The report of a comparison: ``report.json``, ``report.md`` and ``compare.png``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from napari_edgeflow.evaluation.compare import (
    ALL,
    INTERVAL,
    RESAMPLES,
    Difference,
    Records,
    compare,
)
from napari_edgeflow.evaluation.figures import panels_in_rows
from napari_edgeflow.evaluation.noc import carried_forward
from napari_edgeflow.evaluation.report import markdown_table
from napari_edgeflow.evaluation.results import write_text

_SHOWN = {"noc85": "NoC@85", "noc90": "NoC@90", "miou1": "mIoU@1", "miou5": "mIoU@5"}
_CLEAR, _UNCLEAR = "tab:blue", "0.6"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Models on the same objects.

    Attributes:
        models: Their names; the first is the reference.
        weights_sha256: Of their weights, in the same order; None for methods without.
        settings: What they have in common.
        seed: Of the resampling.
        differences: Of every model to the first.
        objects_left_out: Objects that not all of them clicked on.
    """

    models: tuple[str, ...]
    weights_sha256: tuple[str | None, ...]
    settings: Mapping[str, object]
    seed: int
    differences: tuple[Difference, ...]
    objects_left_out: int = 0


def write_comparison(
    models: Mapping[str, str | None],
    records: Mapping[str, Records],
    settings: Mapping[str, object],
    out: Path,
    *,
    max_clicks: int,
    seed: int,
) -> Comparison:
    """The comparison, also written into ``out``.

    Args:
        models: sha256 of the weights (or None) by the models' names, the reference first.
        records: By model and object. Objects that not all models clicked on are left out.
        settings: What the models have in common, for the report.
        out: Folder, which is there.
        max_clicks: Clicks after which the user gave up.
        seed: Of the resampling.

    Raises:
        ValueError: There are fewer than two models, or no object in common.
    """
    common = [k for k in records[next(iter(models))] if all(k in r for r in records.values())]
    if not common:
        raise ValueError("expected objects that all models clicked on, and there is none")
    shared = {model: {key: records[model][key] for key in common} for model in models}
    seen = {key for rows in records.values() for key in rows}
    comparison = Comparison(
        models=tuple(models),
        weights_sha256=tuple(models.values()),
        settings=settings,
        seed=seed,
        differences=tuple(compare(shared, max_clicks, seed=seed)),
        objects_left_out=len(seen) - len(common),
    )
    content = {**asdict(comparison), "resamples": RESAMPLES, "interval": INTERVAL}
    write_text(out / "report.json", json.dumps(content, indent=2) + "\n")
    write_text(out / "report.md", to_markdown(comparison))
    draw_comparison(comparison, shared, out / "compare.png", max_clicks)
    return comparison


def to_markdown(comparison: Comparison) -> str:
    """``report.md``: one table for each model against the reference."""
    reference, *others = comparison.models
    lines = [f"# {', '.join(others)} against {reference}", ""]
    for model in others:
        rows = [d for d in comparison.differences if d.model == model]
        lines += [f"## {model} − {reference}", "", *_table(rows), ""]
    left_out = comparison.objects_left_out
    lines += [
        f"Mean of {reference} → mean of the model: difference [its 95 % interval]. Intervals by "
        f"{RESAMPLES} resamplings of the objects (seed {comparison.seed}); **bold** where they do "
        "not hold zero. NoC is better low, mIoU is better high.",
        "",
    ]
    if left_out:
        lines += [f"{left_out} objects that not all models clicked on are left out.", ""]
    settings = ", ".join(f"{name} {value}" for name, value in comparison.settings.items())
    return "\n".join([*lines, f"Settings: {settings}.", ""])


def draw_comparison(
    comparison: Comparison, records: Mapping[str, Records], path: Path, max_clicks: int
) -> None:
    """Write a PNG: differences with their intervals, and each model's mean IoU after each click."""
    from matplotlib.ticker import MaxNLocator

    datasets = list(dict.fromkeys(d.dataset for d in comparison.differences))
    height = 1.2 + 0.25 * len(datasets) * (len(comparison.models) - 1)
    figure, panels = panels_in_rows(3, width=3.6, height=max(2.6, height), columns=3)
    for panel, metric in zip(panels, ("noc90", "miou1"), strict=False):
        rows = [d for d in comparison.differences if d.metric == metric]
        places = np.arange(len(rows))[::-1]
        for place, row in zip(places, rows, strict=True):
            colour = _CLEAR if row.is_clear else _UNCLEAR
            panel.plot([row.low, row.high], [place, place], color=colour, linewidth=2)
            panel.plot([row.difference], [place], "o", color=colour, markersize=4)
        panel.axvline(0, color="0.3", linewidth=0.7)
        many = len(comparison.models) > 2
        names = [f"{d.dataset}, {d.model}" if many else d.dataset for d in rows]
        panel.set_yticks(places, names, fontsize=6)
        panel.tick_params(axis="x", labelsize=6)
        panel.set_ylim(-0.6, len(rows) - 0.4)
        panel.set_title(f"{_SHOWN[metric]}: difference to {comparison.models[0]}", fontsize=7)
    for model, rows_of in records.items():
        curves = [carried_forward(record.ious, max_clicks) for record in rows_of.values()]
        panels[2].plot(
            range(1, max_clicks + 1), np.mean(curves, axis=0), label=model, linewidth=1.5
        )
    panels[2].set(ylim=(0, 1), xlim=(1, max(2, max_clicks)))
    panels[2].set_title(f"mean IoU after each click, {ALL}", fontsize=7)
    panels[2].tick_params(labelsize=6)
    panels[2].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[2].legend(fontsize=6, loc="lower right")
    figure.savefig(path, dpi=150)


def _table(rows: Sequence[Difference]) -> list[str]:
    """Lines of the table of one model."""
    shown = [metric for metric in _SHOWN if any(row.metric == metric for row in rows)]
    found = {(row.dataset, row.metric): row for row in rows}
    lines = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        cells = [_cell(found[dataset, metric]) for metric in shown]
        lines.append([dataset, str(found[dataset, shown[0]].objects), *cells])
    return markdown_table(["data set", "objects", *(_SHOWN[metric] for metric in shown)], lines)


def _cell(row: Difference) -> str:
    digits = 2 if row.metric.startswith("noc") else 3
    difference = f"{row.difference:+.{digits}f} [{row.low:+.{digits}f}, {row.high:+.{digits}f}]"
    shown = f"**{difference}**" if row.is_clear else difference
    return f"{row.reference:.{digits}f} → {row.mean:.{digits}f}: {shown}"
