"""The command line: ``napari-edgeflow COMMAND``, one file for each command.

Nothing heavy is imported before a command runs: ``--help`` loads no torch, napari or Qt.
"""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from napari_edgeflow.cli.evaluate import evaluate
from napari_edgeflow.cli.export import export
from napari_edgeflow.cli.info import info
from napari_edgeflow.cli.models import models
from napari_edgeflow.cli.segment import segment
from napari_edgeflow.cli.train import train

app = typer.Typer(
    name="napari-edgeflow",
    help="Click on an object, get its mask.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (segment, export, info, evaluate, train):
    app.command()(command)
app.add_typer(models, name="models")


def _print_version(wanted: bool) -> None:
    if wanted:
        from napari_edgeflow import __version__

        typer.echo(f"napari-edgeflow {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Click on an object, get its mask."""


def main() -> None:
    """Nothing; runs the command line and exits with its status."""
    # it logs about damaged files what the command then says in one plain line
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    app()
