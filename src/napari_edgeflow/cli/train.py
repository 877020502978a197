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
        Path | None,
        typer.Argument(metavar="CONFIG.toml", help="Settings of the run, see docs/training.md."),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the run's last checkpoint.")] = False,
    start_from: Annotated[
        Path | None,
        typer.Option(metavar="WEIGHTS", help="A .safetensors file to start from."),
    ] = None,
    finetune: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Instead of CONFIG: objects to improve a model on."),
    ] = None,
    start_model: Annotated[
        str, typer.Option("--from", help="With --finetune: the model to improve.")
    ] = "default",
    minutes: Annotated[float, typer.Option(help="With --finetune: length of the training.")] = 5.0,
    out: Annotated[
        Path | None, typer.Option(help="With --finetune: folder for the run. [default: NAME-run]")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="With --finetune: name of the new model.")
    ] = None,
    keep: Annotated[
        bool, typer.Option(help="With --finetune: keep the new model even if it is not better.")
    ] = False,
    json: Annotated[
        bool, typer.Option(help="With --finetune: progress as lines of JSON, for programs.")
    ] = False,
) -> None:
    """Train a network by simulated clicks; Ctrl-C saves, --resume goes on."""
    with plain_errors():
        if finetune is not None:
            if config is not None or resume or start_from is not None:
                raise ValueError("--finetune goes without CONFIG.toml, --resume and --start-from")
            _finetune(
                finetune,
                model=start_model,
                minutes=minutes,
                out=out,
                name=name,
                keep=keep,
                as_lines=json,
            )
            return
        if config is None:
            raise ValueError("expected CONFIG.toml, or --finetune DATA; see docs/training.md")
        _train(config, resume, start_from)


def _train(config: Path, resume: bool, start_from: Path | None) -> None:
    """The run that a TOML file describes.

    Raises:
        ValueError: Says what to change.
    """
    from napari_edgeflow.training.config import read_config

    settings = read_config(config)
    _check_request(settings, resume, start_from)
    from napari_edgeflow.training.loop import Trainer

    with _progress() as (log, watch):
        trainer = Trainer(settings, resume=resume, start_from=start_from, log=log)
        watch(trainer)
        _run(trainer, config)
    if trainer.rank == 0:
        weights = trainer.out / "weights.safetensors"
        typer.echo(f"Trained {trainer.step} steps. Use the weights with --model {weights}")


def _finetune(
    data: str,
    *,
    model: str,
    minutes: float,
    out: Path | None,
    name: str | None,
    keep: bool,
    as_lines: bool,
) -> None:
    """A better model for the user's own objects, among the user's models.

    Raises:
        typer.Exit: Stopped by the user.
    """
    from napari_edgeflow.cli.finetune import Request, as_json, finetune, in_words, json_line

    new = name or f"{Path(model).stem}-{Path(data).resolve().name}"
    request = Request(data, model, minutes, out or Path(f"{new}-run"), new, keep)

    def tell(stage: str, share: float, text: str) -> None:
        typer.echo(json_line(stage, share, text) if as_lines else f"{share:4.0%} {stage}: {text}")

    try:
        outcome = finetune(request, tell)
    except KeyboardInterrupt:
        typer.echo("Stopped; your models are as they were.", err=True)
        raise typer.Exit(130) from None
    typer.echo(as_json(outcome) if as_lines else in_words(outcome))


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
    from napari_edgeflow.data.open import parse_spec

    missing = [spec for spec in settings.data if not parse_spec(spec).path.exists()]
    if missing:
        raise ValueError(
            "expected folders with images/ and masks/, or other data sets (docs/data.md), but "
            f"there is no {', no '.join(missing)}; correct 'data'"
        )


def _run(trainer: Trainer, config: Path) -> None:
    """Runs to the end; a Ctrl-C saves what was learned.

    Raises:
        typer.Exit: Stopped by the user.
        ValueError: The training diverged.
    """
    try:
        trained(trainer)
    except KeyboardInterrupt:
        text = _stopped(trainer, config)
        if trainer.rank == 0:
            typer.echo(text, err=True)
        raise typer.Exit(130) from None


def trained(trainer: Trainer) -> None:
    """Runs a trainer to its end.

    Raises:
        ValueError: The training diverged, or there is no memory or no TensorBoard for it.
    """
    try:
        trainer.run()
    except (FloatingPointError, MemoryError, ModuleNotFoundError) as error:
        raise ValueError(str(error)) from error


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
def _progress() -> Iterator[tuple[Log, Watch]]:
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
                left = format_left(trainer.left_s)
                self.update(task, completed=trainer.progress, step=trainer.step, left=left)
            yield from super().get_renderables()

    columns = (
        TextColumn("Training"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} % · step {task.fields[step]} · {task.fields[left]}"),
    )
    with Live(*columns, console=console, refresh_per_second=2) as progress:

        def watch(trainer: Trainer) -> None:
            task = progress.add_task("", total=1, step=trainer.step, left="")
            running.append((trainer, task))

        yield lambda line: progress.console.print(line, highlight=False), watch


def format_left(seconds: float) -> str:
    """The time left for people: ``1 h 05 min left``, ``4 min left``, ``20 s left``."""
    whole = max(round(seconds), 0)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min left"
    return f"{whole // 60} min left" if whole >= 60 else f"{whole} s left"
