"""``napari-edgeflow info``: what an image file is, and how it would be opened."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_edgeflow.cli.plain_errors import plain_errors


def info(
    raster: Annotated[
        Path, typer.Argument(help="TIFF, GeoTIFF, OME-Zarr, PNG, JPEG, DICOM, or what GDAL opens.")
    ],
    index: Annotated[
        str,
        typer.Option(
            help="The plane of a stack: a number for each of its axes, separated by commas. "
            "[default: the first]",
            metavar="N,…",
            show_default=False,
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")] = False,
    verbose: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
) -> None:
    """Show size, levels, bands, type, place on the map and stretch of an image, and advice."""
    with plain_errors(verbose):
        import json

        from napari_edgeflow.cli.info_run import describe, in_words

        found = describe(raster, parse_index(index))
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2) if as_json else in_words(found))


def parse_index(text: str) -> tuple[int, ...] | None:
    """The numbers of ``3`` or ``3,0``; None for an empty text.

    Raises:
        ValueError: They are no whole numbers ≥ 0.
    """
    if not text.strip():
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ValueError(
            f"expected whole numbers separated by commas, got {text!r}; for example --index 3,0"
        )
    return tuple(int(part) for part in parts)
