"""One evaluation from folders to report, as the command line runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from napari_edgeflow.data.base import Dataset
from napari_edgeflow.data.open import parse_spec
from napari_edgeflow.errors import ExportError
from napari_edgeflow.evaluation.clicker import STOP_IOU
from napari_edgeflow.evaluation.figures import draw_curves, draw_worst, worst_records
from napari_edgeflow.evaluation.noc import DROP_CLICKS, DROP_MARGIN, NOC_CLICKS
from napari_edgeflow.evaluation.records import ObjectRecord
from napari_edgeflow.evaluation.report import Report, make_report, write_report
from napari_edgeflow.evaluation.results import ResultFolder
from napari_edgeflow.evaluation.run import (
    Job,
    OnProgress,
    SegmenterSource,
    choose_targets,
    click_on_all,
    open_datasets,
)
from napari_edgeflow.evaluation.selection import MIN_AREA_PX, MIN_VIEW_PX, Target, View

_WORST_SHOWN = 16


class IdentifiedSource(SegmenterSource, Protocol):
    """A source of segmenters that can say which weights it uses."""

    def identify(self) -> tuple[str, str | None]:
        """(name of the model, sha256 of its weights or None)."""
        ...

    def find_device(self) -> str:
        """Where it will run."""
        ...

    def options(self) -> dict[str, object]:
        """How the weights are used, as far as it changes the masks."""
        ...


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is evaluated, on what, and how.

    Attributes:
        source: Of the segmenter.
        folders: Data sets: what ``open_dataset`` takes.
        view: What the user looks at before the first click.
        max_objects: Drawn at random from each data set; None takes all.
        seed: Of that draw.
        max_clicks: Clicks before giving up.
        min_area_px: Smaller objects are left out.
        stop_iou: IoU at which the user is content; above 1 every click is made.
    """

    source: IdentifiedSource
    folders: tuple[str | Path, ...]
    view: View = "full"
    max_objects: int | None = None
    seed: int = 0
    max_clicks: int = 20
    min_area_px: int = MIN_AREA_PX
    stop_iou: float = STOP_IOU

    def settings(self) -> dict[str, object]:
        """All that decides the figures, for the report."""
        return {
            "view": self.view,
            "max_objects": self.max_objects,
            "seed": self.seed,
            "max_clicks": self.max_clicks,
            "device": self.source.find_device(),
            **self.source.options(),
            "folders": [str(folder) for folder in self.folders],
            "min_area_px": self.min_area_px,
            "min_view_px": MIN_VIEW_PX,
            "stop_iou": self.stop_iou,
            "miou_after_stop": "last value carried forward",
            "noc_of_a_failure": min(self.max_clicks, NOC_CLICKS),
            "drop_clicks": f"2-{DROP_CLICKS}, of those made",
            "drop_margin": DROP_MARGIN,
        }


def run_evaluation(
    evaluation: Evaluation,
    out: Path,
    *,
    workers: int = 1,
    resume: bool = False,
    on_progress: OnProgress = lambda *_: None,
) -> Report:
    """The report, also written into ``out`` with its pictures, rows and masks.

    Args:
        evaluation: What to do.
        out: Folder of its own; what is done is kept there even when it stops half-way.
        workers: Processes; 1 works in this one.
        resume: Go on with what ``out`` holds.
        on_progress: Told what is going on.

    Raises:
        DatasetError: A data set is bad.
        WeightsError: The model is unknown or bad.
        DeviceError: The device is not there.
        EdgeFlowError: ``out`` holds other results.
        ExportError: ``out`` lies in a data set, or cannot be made.
    """
    _check_out(out, evaluation.folders)
    name, sha256 = evaluation.source.identify()
    settings = evaluation.settings()
    opened = open_datasets(evaluation.folders)
    datasets = {dataset.name: dataset for dataset in opened}
    targets = choose_targets(
        opened,
        evaluation.view,
        max_objects=evaluation.max_objects,
        seed=evaluation.seed,
        min_area_px=evaluation.min_area_px,
        on_progress=on_progress,
    )
    jobs = _jobs(evaluation, targets)
    identity = {"model": name, "weights_sha256": sha256, **settings}
    results = ResultFolder(out, identity, resume=resume)
    try:
        click_on_all(jobs, results, workers=workers, on_progress=on_progress)
    finally:
        results.close()
    results.sort([job.target.key for job in jobs])
    records = _by_dataset(results, targets)
    told = {**settings, "workers": workers}  # changes the seconds, never the masks
    report = make_report(name, sha256, told, records, evaluation.max_clicks)
    write_report(report, out)
    draw_curves(report, out / "curves.png")
    worst = worst_records(records, _WORST_SHOWN, evaluation.max_clicks)
    _draw_sheet(worst, datasets, targets, results, title=name)
    return report


def _jobs(evaluation: Evaluation, targets: Mapping[str, Sequence[Target]]) -> list[Job]:
    """A job for each target; the data sets come in the order of their folders."""
    return [
        Job(evaluation.source, str(spec), target, evaluation.max_clicks, evaluation.stop_iou)
        for spec, chosen in zip(evaluation.folders, targets.values(), strict=True)
        for target in chosen
    ]


def _check_out(out: Path, specs: Sequence[str | Path]) -> None:
    """Refuse to mix predicted masks with a data set's own."""
    for folder in (parse_spec(spec).path for spec in specs):
        if out.resolve().is_relative_to(folder.resolve()):
            raise ExportError(
                f"expected a folder outside the data sets for the report, got {out}, which lies in "
                f"{folder}; choose another folder"
            )


def _by_dataset(
    results: ResultFolder, targets: Mapping[str, Sequence[Target]]
) -> dict[str, list[ObjectRecord]]:
    """The records in the order of the targets."""
    return {
        dataset: [results.records[target.key] for target in chosen]
        for dataset, chosen in targets.items()
    }


def _draw_sheet(
    worst: Sequence[ObjectRecord],
    datasets: Mapping[str, Dataset],
    targets: Mapping[str, Sequence[Target]],
    results: ResultFolder,
    *,
    title: str,
) -> None:
    """Write ``worst.png``."""
    index = {target.key: target.index for chosen in targets.values() for target in chosen}
    shown = [
        (record, datasets[record.dataset][index[record.key]], results.mask(record.key))
        for record in worst
    ]
    draw_worst(shown, results.path / "worst.png", title=title)
