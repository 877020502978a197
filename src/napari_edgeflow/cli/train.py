"""``napari-edgeflow train``."""

from __future__ import annotations

import typer


def train() -> None:
    """Not available yet."""
    typer.echo("Error: train is not available yet", err=True)
    raise typer.Exit(2)
