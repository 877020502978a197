"""``napari-edgeflow models``: what there is to segment with, and how to get more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_edgeflow.cli.plain_errors import plain_errors

if TYPE_CHECKING:
    from napari_edgeflow.zoo.catalog import WeightsInfo
    from napari_edgeflow.zoo.download import Progress

models = typer.Typer(help="List the models; import or download more.", invoke_without_command=True)


@models.callback()
def list_all(context: typer.Context) -> None:
    """List the models: name, whether it is bundled, size, licence and summary."""
    if context.invoked_subcommand is not None:
        return
    with plain_errors():
        from napari_edgeflow.zoo.catalog import list_models
        from napari_edgeflow.zoo.published import PUBLISHED

        known = list_models()
        _print_models(known)
        names = {info.name for info in known}
        missing = [item for item in PUBLISHED if item.name not in names]
        rows = [
            (item.name, _about(item.about_bytes), item.licence, item.summary) for item in missing
        ]
        if rows:
            _print_table(
                "Published elsewhere: get one with 'napari-edgeflow models download NAME'",
                ("Name", "Size", "Licence", "Summary"),
                rows,
            )


@models.command("import")
def import_file(
    file: Annotated[
        Path,
        typer.Argument(
            help="Checkpoint of RITM (.pth), of EdgeFlow or EISeg (.pdparams), or .safetensors."
        ),
    ],
    name: Annotated[
        str, typer.Option(help="Name of the new model. [default: the file's]", show_default=False)
    ] = "",
    licence: Annotated[str, typer.Option(help="Licence of the weights, kept with them.")] = "",
    replace: Annotated[bool, typer.Option(help="Replace a model of that name.")] = False,
) -> None:
    """Make a model of a checkpoint file; no code of the file is run."""
    with plain_errors():
        from napari_edgeflow.zoo.convert import import_weights

        _report(import_weights(file, name, licence=licence, replace=replace))


@models.command()
def download(
    name: Annotated[str, typer.Argument(help="A name from 'napari-edgeflow models'.")],
    replace: Annotated[bool, typer.Option(help="Replace a model of that name.")] = False,
) -> None:
    """Download a published checkpoint and make a model of it; goes on where it stopped."""
    with plain_errors():
        from napari_edgeflow.zoo.install import download_model

        with _progress_bar(name) as progress:
            installed = download_model(name, replace=replace, progress=progress)
        typer.echo(f"sha256 of the published file: {installed.sha256}")
        if installed.is_first:
            typer.echo(
                "Its hash was not yet recorded by this program; it is remembered here from now "
                "on, and a file with another one will be refused."
            )
        _report(installed.model)


def _report(model: WeightsInfo) -> None:
    typer.echo(f"{model.name}: {model.network}, {format_size(model.size_bytes)}, {model.licence}")
    typer.echo(f"Written to {model.path}. Use it with --model {model.name}")


@contextmanager
def _progress_bar(name: str) -> Iterator[Progress]:
    """A progress bar on stderr; on anything but a terminal it stays silent."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = TextColumn(name), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task(name, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total or None)


def _print_models(known: tuple[WeightsInfo, ...]) -> None:
    rows = []
    for number, info in enumerate(known):
        name = f"{info.name} (default)" if number == 0 else info.name
        bundled = "yes" if info.bundled else "no"
        rows.append((name, bundled, format_size(info.size_bytes), info.licence, info.summary))
    _print_table("", ("Name", "Bundled", "Size", "Licence", "Summary"), rows)


def _print_table(title: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left")
    for head in heads:
        if head in ("Licence", "Summary"):
            table.add_column(head, overflow="fold")
        else:
            table.add_column(head, no_wrap=True, justify="right" if head == "Size" else "left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def format_size(size_bytes: int) -> str:
    """The size in MB for people, or "missing" for a file that is not there."""
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes else "missing"


def _about(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.0f} MB" if size_bytes else "?"
