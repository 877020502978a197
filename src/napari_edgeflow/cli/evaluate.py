"""``napari-edgeflow evaluate``: how many clicks a model needs, by a simulated user."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from napari_edgeflow.cli.plain_errors import plain_errors
from napari_edgeflow.cli.segment import Device


class ViewChoice(StrEnum):
    """What the simulated user looks at before the first click."""

    FULL = "full"
    OBJECT = "3x"


def evaluate(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...",
            help="Data sets: folders with images/ and masks/ of the same names; masks hold ids, "
            "0 background, 65535 ignore.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the report, of its own.")],
    model: Annotated[
        str,
        typer.Option(
            help="A name from 'napari-edgeflow models', a .safetensors file, grabcut or "
            "random_walker."
        ),
    ] = "default",
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
    max_clicks: Annotated[int, typer.Option(min=1, help="Clicks before giving up.")] = 20,
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = Device.AUTO,
    workers: Annotated[int, typer.Option(min=1, help="Processes, of one thread each.")] = 1,
    resume: Annotated[bool, typer.Option(help="Go on with an evaluation that stopped.")] = False,
) -> None:
    """Click on known objects like a careful user; write report.json, report.md and pictures."""
    with plain_errors():
        from napari_edgeflow.evaluation.evaluate import Evaluation, run_evaluation
        from napari_edgeflow.evaluation.sources import ModelSource

        evaluation = Evaluation(
            source=ModelSource(model, device.value),
            folders=tuple(folders),
            view=view.value,
            max_objects=max_objects,
            seed=seed,
            max_clicks=max_clicks,
        )
        try:
            with _progress() as on_progress:
                run_evaluation(
                    evaluation, out, workers=workers, resume=resume, on_progress=on_progress
                )
        except KeyboardInterrupt:
            typer.echo(f"Stopped. What is done is in {out}; go on with --resume.", err=True)
            raise typer.Exit(130) from None
        typer.echo((out / "report.md").read_text(encoding="utf-8"))
        typer.echo(f"Wrote report.json, report.md, curves.png and worst.png to {out}")


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
