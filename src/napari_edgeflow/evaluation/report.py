"""The report of an evaluation: ``report.json`` for programs, ``report.md`` for people."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from napari_edgeflow.evaluation.noc import DatasetSummary, summarise
from napari_edgeflow.evaluation.records import ObjectRecord
from napari_edgeflow.evaluation.results import write_text


@dataclass(frozen=True, slots=True)
class Report:
    """What one model scored.

    Attributes:
        model: Its name.
        weights_sha256: Of its weights file; None for a method without weights.
        settings: All that decides the figures.
        datasets: One summary per data set.
    """

    model: str
    weights_sha256: str | None
    settings: Mapping[str, object]
    datasets: tuple[DatasetSummary, ...]


def make_report(
    model: str,
    weights_sha256: str | None,
    settings: Mapping[str, object],
    records: Mapping[str, Sequence[ObjectRecord]],
    max_clicks: int,
) -> Report:
    """The report of the records of every data set, in their order."""
    summaries = (
        summarise(
            name,
            [r.ious for r in rows],
            [r.seconds for r in rows],
            max_clicks,
            [r.stabilities for r in rows],
        )
        for name, rows in records.items()
    )
    return Report(model, weights_sha256, settings, tuple(summaries))


def to_json(report: Report) -> str:
    """``report.json``: model, weights_sha256, settings, datasets."""
    return json.dumps(asdict(report), indent=2) + "\n"


def to_markdown(report: Report) -> str:
    """``report.md``: a table of the data sets and one of the means of their kinds."""
    weights = f" (weights {report.weights_sha256[:12]}…)" if report.weights_sha256 else ""
    settings = ", ".join(f"{name} {value}" for name, value in report.settings.items())
    return "\n".join(
        [
            f"# {report.model}{weights}",
            "",
            *_table("data set", report.datasets),
            "",
            "Means of the data sets of one kind (every data set counts the same):",
            "",
            *_table("kind", mean_by_kind(report.datasets)),
            "",
            "NoC@T: mean clicks to an IoU of T, at most 20 (a failure counts as all of them); NoF: "
            "objects that did not get there; late: those and the ones that took all clicks "
            "(RITM's >=20); drops: share of the clicks 2…10 after which the IoU fell by more than "
            "0.01; stability: mean IoU of the masks before and after the clicks 2…10, away from "
            "the click; s/click: median and mean.",
            "",
            *_long_table(report.datasets),
            f"Settings: {settings}.",
            "",
        ]
    )


def mean_by_kind(summaries: Sequence[DatasetSummary]) -> list[DatasetSummary]:
    """Unweighted means of the data sets whose names share what is before the first ``_``."""
    kinds: dict[str, list[DatasetSummary]] = {}
    for summary in summaries:
        kinds.setdefault(summary.dataset.split("_")[0], []).append(summary)
    return [_mean(f"{kind} ({len(group)})", group) for kind, group in kinds.items()]


def write_report(report: Report, folder: Path) -> None:
    """Write ``report.json`` and ``report.md`` into ``folder``."""
    write_text(folder / "report.json", to_json(report))
    write_text(folder / "report.md", to_markdown(report))


def _mean(name: str, group: Sequence[DatasetSummary]) -> DatasetSummary:
    """Mean of the figures, sum of the counts."""
    return DatasetSummary(
        dataset=name,
        objects=sum(s.objects for s in group),
        noc85=statistics.fmean(s.noc85 for s in group),
        noc90=statistics.fmean(s.noc90 for s in group),
        noc95=statistics.fmean(s.noc95 for s in group),
        nof85=sum(s.nof85 for s in group),
        nof90=sum(s.nof90 for s in group),
        miou_at=tuple(
            statistics.fmean(values) for values in zip(*(s.miou_at for s in group), strict=True)
        ),
        drop_rate=statistics.fmean(s.drop_rate for s in group),
        seconds_per_click_median=statistics.fmean(s.seconds_per_click_median for s in group),
        nof95=sum(s.nof95 for s in group),
        late85=sum(s.late85 for s in group),
        late90=sum(s.late90 for s in group),
        late95=sum(s.late95 for s in group),
        stability=_mean_of_known([s.stability for s in group]),
        seconds_per_click_mean=statistics.fmean(s.seconds_per_click_mean for s in group),
    )


def _mean_of_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _table(first_column: str, summaries: Sequence[DatasetSummary]) -> list[str]:
    """Lines of a Markdown table."""
    most = len(summaries[0].miou_at) if summaries else 1
    shown = [n for n in (1, 2, 3, 5, 10, 20, 50, 100) if n <= most]
    heads = [first_column, "objects", "NoC@85", "NoC@90", "NoC@95", "NoF@85", "NoF@90", "NoF@95"]
    heads += ["late@85", "late@90", "late@95", *(f"mIoU@{n}" for n in shown)]
    heads += ["drops", "stability", "s/click"]
    rows = []
    for s in summaries:
        cells = [s.dataset, f"{s.objects}", f"{s.noc85:.2f}", f"{s.noc90:.2f}", f"{s.noc95:.2f}"]
        cells += [str(n) for n in (s.nof85, s.nof90, s.nof95, s.late85, s.late90, s.late95)]
        cells += [f"{s.miou_at[n - 1]:.3f}" for n in shown]
        stability = "–" if s.stability is None else f"{s.stability:.3f}"
        times = f"{s.seconds_per_click_median:.3f} / {s.seconds_per_click_mean:.3f}"
        rows.append([*cells, f"{100 * s.drop_rate:.1f} %", stability, times])
    return markdown_table(heads, rows)


def _long_table(summaries: Sequence[DatasetSummary]) -> list[str]:
    """Lines of what more than 20 clicks brought; none where there were no more."""
    longs = [(s.dataset, s.long) for s in summaries if s.long is not None]
    if not longs:
        return []
    most = longs[0][1].clicks
    heads = ["data set", *(f"NoC{most}@{t}" for t in (85, 90, 95))]
    heads += [f"NoF{most}@{t}" for t in (85, 90, 95)]
    rows = [
        [name, f"{s.noc85:.2f}", f"{s.noc90:.2f}", f"{s.noc95:.2f}"]
        + [str(n) for n in (s.nof85, s.nof90, s.nof95)]
        for name, s in longs
    ]
    return [f"With up to {most} clicks:", "", *markdown_table(heads, rows), ""]


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; the first column is text, the others are numbers."""
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|--:" * (len(heads) - 1) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]
