"""``napari-edgeflow export``: objects of a label image or a project in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_edgeflow.cli.plain_errors import plain_errors


def export(
    labels: Annotated[
        Path,
        typer.Argument(
            help="Label image (TIFF, PNG, OME-Zarr: ids of objects), or a project (.edgeflow)."
        ),
    ],
    format_name: Annotated[
        str,
        typer.Option("--format", help="Name of the format; 'list' shows all.", metavar="NAME"),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write; for formats of many files, and for stacks, a folder.",
            show_default=False,
        ),
    ] = None,
    image: Annotated[
        Path | None,
        typer.Option(
            help="The image, for its name, place on the map, pixel size and intensities. "
            "[default: the project's; else the label image itself, without intensities]",
            show_default=False,
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="Simplify outlines by about this much: units of the CRS for map formats, else "
            "pixels. [default: 0]",
            show_default=False,
        ),
    ] = None,
    class_list: Annotated[
        Path | None,
        typer.Option(
            help="Classes of a label image, EISeg's text or JSON. Objects get the first one, or "
            "the one of their value with --values classes.",
            show_default=False,
        ),
    ] = None,
    values: Annotated[
        str,
        typer.Option(
            help="What the values of a label image are: objects, or classes, whose connected "
            "parts are the objects then.",
            metavar="objects|classes",
        ),
    ] = "objects",
    option: Annotated[
        list[str] | None,
        typer.Option(
            help="Another option of the format, again for each; see --format list.",
            metavar="NAME=VALUE",
            show_default=False,
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
) -> None:
    """Write the objects of a label image or a project in another format."""
    with plain_errors(verbose):
        from napari_edgeflow.cli.export_run import ExportRequest, export_labels, list_formats

        if format_name == "list":
            list_formats()
            return
        if out is None:
            raise ValueError("expected --out with a file or folder to write, got none; add it")
        given = parse_options(option or [])
        if tolerance is not None:
            given["tolerance"] = str(tolerance)
        request = ExportRequest(labels, format_name, out, image, class_list, values, given)
        export_labels(request)


def parse_options(texts: list[str]) -> dict[str, str]:
    """Values by name of ``NAME=VALUE`` texts.

    Raises:
        ValueError: One is written otherwise, or a name comes twice.
    """
    given: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.strip() or name.strip() in given:
            raise ValueError(
                f"expected options as NAME=VALUE, each name once, got {text!r}; for example "
                "--option version=5.0"
            )
        given[name.strip()] = value.strip()
    return given
