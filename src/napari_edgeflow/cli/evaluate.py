"""``napari-edgeflow evaluate``: how many clicks a model needs, by a simulated user."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_edgeflow.cli.plain_errors import plain_errors
from napari_edgeflow.cli.segment import Device

if TYPE_CHECKING:
    from napari_edgeflow.evaluation.evaluate import Evaluation, IdentifiedSource


class ZoomChoice(StrEnum):
    """Which part of the image a network sees."""

    ON = "on"
    OFF = "off"
    RITM = "ritm"


class ViewChoice(StrEnum):
    """What the simulated user looks at before the first click."""

    FULL = "full"
    OBJECT = "3x"


def evaluate(
    out: Annotated[Path, typer.Option(help="Folder for the report, of its own.")],
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATA...",
            help="Data sets: folders with images/ and masks/ of the same names (masks hold ids, "
            "0 background, 65535 ignore), published ones as they come, or NAME:PATH with grabcut, "
            "berkeley, davis, coco_mval, voc, sbd, coco, lvis or coco_lvis.",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="A name from 'napari-edgeflow models', a .safetensors file, grabcut, "
            "random-walker or watershed."
        ),
    ] = "default",
    compare: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL,MODEL...",
            help="Instead of --model: several, on the same objects; the first is the reference.",
        ),
    ] = None,
    compare_reports: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Instead of data sets: folders of reports to compare, one option each.",
        ),
    ] = None,
    view: Annotated[
        ViewChoice,
        typer.Option(
            help="full: the user looks at the whole image; 3x: at a square three times the "
            "object's longer side, at least 64 px."
        ),
    ] = ViewChoice.FULL,
    max_objects: Annotated[
        int | None,
        typer.Option(min=1, help="Objects drawn at random from each data set. [default: all]"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of that draw.")] = 0,
    max_clicks: Annotated[
        int, typer.Option(min=1, help="Clicks before giving up; 100 also reports NoC100.")
    ] = 20,
    min_area: Annotated[int, typer.Option(min=1, help="Smaller objects (px) are left out.")] = 16,
    stop_iou: Annotated[
        float, typer.Option(min=0.95, help="The user stops at this IoU; above 1 never.")
    ] = 0.95,
    zoom: Annotated[
        ZoomChoice,
        typer.Option(
            help="on: as in the viewer; off: the same view at every click; ritm: as in RITM's "
            "evaluation. Baselines have no zoom."
        ),
    ] = ZoomChoice.ON,
    zoom_side: Annotated[
        int, typer.Option(min=32, help="For --zoom ritm: longer side of the zoomed view.")
    ] = 400,
    flip: Annotated[
        bool, typer.Option(help="Average the answers to the view and to its mirror image.")
    ] = False,
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = Device.AUTO,
    jobs: Annotated[
        int, typer.Option("--jobs", "--workers", min=1, help="Processes, of one thread each.")
    ] = 1,
    resume: Annotated[bool, typer.Option(help="Go on with an evaluation that stopped.")] = False,
) -> None:
    """Click on known objects like a careful user; write report.json, report.md and pictures."""
    with plain_errors():
        names = [name for given in compare or () for name in given.split(",") if name]
        _check_request(data, names, compare_reports, is_model_given=model != "default")
        from napari_edgeflow.evaluation.evaluate import Evaluation
        from napari_edgeflow.evaluation.sources import ModelSource

        sources = [
            ModelSource(name, device.value, zoom.value, flip, zoom_side)
            for name in names or [model]
        ]
        evaluation = Evaluation(
            source=sources[0],
            folders=tuple(data or ()),
            view=view.value,
            max_objects=max_objects,
            seed=seed,
            max_clicks=max_clicks,
            min_area_px=min_area,
            stop_iou=stop_iou,
        )
        try:
            with _progress() as on_progress:
                how = _Run(out, jobs, resume, on_progress)
                pictures = _run(evaluation, sources if names else [], compare_reports, how)
        except KeyboardInterrupt:
            typer.echo(f"Stopped. What is done is in {out}; go on with --resume.", err=True)
            raise typer.Exit(130) from None
        typer.echo((out / "report.md").read_text(encoding="utf-8"))
        typer.echo(f"Wrote report.json, report.md, {pictures} to {out}")


@dataclass(frozen=True, slots=True)
class _Run:
    """Where the report goes, and how the work is done."""

    out: Path
    jobs: int
    resume: bool
    on_progress: Callable[[str, int, int], None]


def _run(
    evaluation: Evaluation,
    compared: Sequence[IdentifiedSource],
    reports: Sequence[Path] | None,
    how: _Run,
) -> str:
    """The names of the pictures; compares reports, compares models, or evaluates one."""
    from napari_edgeflow.evaluation.compare_run import compare_reports, run_comparison
    from napari_edgeflow.evaluation.evaluate import run_evaluation

    if reports:
        compare_reports(reports, how.out, seed=evaluation.seed)
        return "compare.png"
    if compared:
        run_comparison(
            evaluation,
            compared,
            how.out,
            workers=how.jobs,
            resume=how.resume,
            on_progress=how.on_progress,
        )
        return "compare.png"
    run_evaluation(
        evaluation, how.out, workers=how.jobs, resume=how.resume, on_progress=how.on_progress
    )
    return "curves.png and worst.png"


def _check_request(
    data: list[str] | None,
    names: list[str],
    reports: list[Path] | None,
    *,
    is_model_given: bool,
) -> None:
    """Refuses what cannot be meant.

    Raises:
        ValueError: Says what to change.
    """
    if reports and (data or names or is_model_given):
        raise ValueError(
            "expected --compare-reports alone, with --out; data sets and models are those of the "
            "reports"
        )
    if not reports and not data:
        raise ValueError("expected at least one data set to evaluate on; see --help")
    if names and is_model_given:
        raise ValueError("expected --model or --compare, got both; name all models in --compare")


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar with the time left, on stderr."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done)

        yield show
