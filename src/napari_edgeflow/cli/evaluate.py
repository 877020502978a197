"""``napari-edgeflow evaluate``."""

from __future__ import annotations

import typer


def evaluate() -> None:
    """Not available yet."""
    typer.echo("Error: evaluate is not available yet", err=True)
    raise typer.Exit(2)
