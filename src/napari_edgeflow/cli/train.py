"""``napari-edgeflow train``: a network of one's own, from folders of images and masks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_edgeflow.cli.plain_errors import plain_errors

if TYPE_CHECKING:
    from napari_edgeflow.training.config import TrainConfig
    from napari_edgeflow.training.loop import Trainer

Log = Callable[[str], None]
Watch = Callable[["Trainer"], None]


def train(
    config: Annotated[
        Path,
        typer.Argument(metavar="CONFIG.toml", help="Settings of the run, see docs/training.md."),
    ],
    resume: Annotated[bool, typer.Option(help="Go on from the run's last checkpoint.")] = False,
    start_from: Annotated[
        Path | None,
        typer.Option(metavar="WEIGHTS", help="A .safetensors file to start from: fine-tuning."),
    ] = None,
) -> None:
    """Train a network by simulated clicks; Ctrl-C saves, --resume goes on."""
    with plain_errors():
        from napari_edgeflow.training.config import read_config

        settings = read_config(config)
        _check_request(settings, resume, start_from)
        from napari_edgeflow.training.loop import Trainer

        with _progress(settings) as (log, watch):
            trainer = Trainer(settings, resume=resume, start_from=start_from, log=log)
            watch(trainer)
            _run(trainer, config)
        if trainer.rank == 0:
            weights = trainer.out / "weights.safetensors"
            typer.echo(f"Trained {trainer.step} steps. Use the weights with --model {weights}")


def _check_request(settings: TrainConfig, resume: bool, start_from: Path | None) -> None:
    """Refuses what would lose a run or could not start.

    Raises:
        ValueError: Says what to change.
    """
    checkpoint = Path(settings.out) / "checkpoint.pt"
    if resume and start_from is not None:
        raise ValueError(
            "expected --resume or --start-from, got both; a resumed run has its own weights"
        )
    if resume and not checkpoint.exists():
        raise ValueError(f"expected a run to resume, but there is no {checkpoint}; omit --resume")
    if checkpoint.exists() and not resume:
        raise ValueError(
            f"{checkpoint} is there already; go on with --resume, or choose another 'out'"
        )
    if start_from is not None and not start_from.is_file():
        raise ValueError(f"expected a .safetensors file to start from, got {start_from}")
    missing = [folder for folder in settings.data if not Path(folder).is_dir()]
    if missing:
        raise ValueError(f"expected folders with images/ and masks/, but {missing[0]} is none")


def _run(trainer: Trainer, config: Path) -> None:
    """Runs to the end; a Ctrl-C saves what was learned.

    Raises:
        typer.Exit: Stopped by the user.
        ValueError: The training diverged.
    """
    try:
        trainer.run()
    except FloatingPointError as error:
        raise ValueError(str(error)) from error
    except KeyboardInterrupt:
        if trainer.rank == 0:
            typer.echo(_stopped(trainer, config), err=True)
        raise typer.Exit(130) from None


def _stopped(trainer: Trainer, config: Path) -> str:
    """What to say after a Ctrl-C; the checkpoint is written when this returns."""
    if trainer.step == 0:
        return "Stopped before the first step; nothing was saved."
    trainer.save()
    return (
        f"Stopped at step {trainer.step}, saved in {trainer.out}. "
        f"Go on with: napari-edgeflow train {config} --resume"
    )


@contextmanager
def _progress(settings: TrainConfig) -> Iterator[tuple[Log, Watch]]:
    """(where log lines go, what shows a trainer's progress): a bar on a terminal, else lines."""
    from rich.console import Console, RenderableType
    from rich.progress import BarColumn, Progress, TaskID, TextColumn

    console = Console()
    if not console.is_terminal or os.environ.get("RANK", "0") != "0":
        yield typer.echo, lambda trainer: None
        return
    running: list[tuple[Trainer, TaskID]] = []

    class Live(Progress):
        """Reads the trainer's clock whenever it is drawn."""

        def get_renderables(self) -> Iterator[RenderableType]:
            """The bar, up to date."""
            for trainer, task in running:
                left = format_left(settings.minutes * 60 - trainer.elapsed_s)
                self.update(task, completed=trainer.elapsed_s, step=trainer.step, left=left)
            yield from super().get_renderables()

    columns = (
        TextColumn("Training"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} % · step {task.fields[step]} · {task.fields[left]}"),
    )
    with Live(*columns, console=console, refresh_per_second=2) as progress:

        def watch(trainer: Trainer) -> None:
            task = progress.add_task("", total=settings.minutes * 60, step=trainer.step, left="")
            running.append((trainer, task))

        yield lambda line: progress.console.print(line, highlight=False), watch


def format_left(seconds: float) -> str:
    """The time left for people: ``1 h 05 min left``, ``4 min left``, ``20 s left``."""
    whole = max(round(seconds), 0)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min left"
    return f"{whole // 60} min left" if whole >= 60 else f"{whole} s left"
