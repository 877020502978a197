"""``napari-edgeflow segment``: clicks on an image file become a label image."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_edgeflow.cli.plain_errors import plain_errors

if TYPE_CHECKING:
    from napari_edgeflow._types import Click, ClickKind

_KINDS: dict[str, ClickKind] = {
    "+": "positive",
    "pos": "positive",
    "positive": "positive",
    "1": "positive",
    "-": "negative",
    "−": "negative",
    "neg": "negative",
    "negative": "negative",
    "0": "negative",
    "b": "boundary",
    "boundary": "boundary",
}


class Device(StrEnum):
    """Where the network runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def segment(
    image: Annotated[Path, typer.Argument(help="TIFF, GeoTIFF, PNG or JPEG file.")],
    click: Annotated[
        list[str],
        typer.Option(
            help="Row, column and kind of a click, such as 120,85,+ on the object or 140,30,- "
            "beside it; again for every click. Some models take b: on the object's boundary.",
            metavar="Y,X,+|-|b",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Label image to write: .tif, .tiff or .png.")],
    field_of_view: Annotated[
        float | None,
        typer.Option(
            help="Side in pixels of the square looked at. [default: the image up to 2048, else "
            "1024]",
            metavar="PX",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(help="A name from 'napari-edgeflow models', or a .safetensors file."),
    ] = "default",
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = Device.AUTO,
    mask: Annotated[
        Path | None, typer.Option(help="Label image to start from: its nonzero pixels.")
    ] = None,
    bands: Annotated[
        str,
        typer.Option(
            help="What the network sees: true-colour, false-colour-nir, first, or one to three "
            "bands by their number from 0, in the order red, green, blue. [default: the first "
            "three]",
            metavar="PRESET|N,N,N",
            show_default=False,
        ),
    ] = "",
    refine: Annotated[
        bool,
        typer.Option(
            "--refine",
            help="Draw the outline again at full resolution, tile by tile, where the object was "
            "too large for the network to see every pixel.",
        ),
    ] = False,
    verbose: Annotated[bool, typer.Option(help="Show what each click took.")] = False,
) -> None:
    """Segment one object by clicks and write it as a label image (object = 1)."""
    with plain_errors(verbose):
        from napari_edgeflow.cli.segment_run import SegmentRequest, load_predictor, segment_image

        request = SegmentRequest(
            image,
            tuple(parse_click(text) for text in click),
            out,
            mask=mask,
            field_of_view=field_of_view,
            is_refined=refine,
            bands=bands,
        )
        line = segment_image(request, lambda: load_predictor(model, device.value), verbose=verbose)
        typer.echo(line)


def parse_click(text: str) -> Click:
    """The click that ``Y,X,KIND`` names; without a kind it is positive.

    Raises:
        ValueError: It is written otherwise.
    """
    from napari_edgeflow._types import Click

    parts = [part.strip() for part in text.split(",")]
    kind = parts[2].lower() if len(parts) == 3 else "+"
    try:
        if len(parts) not in (2, 3) or kind not in _KINDS:
            raise ValueError(text)
        return Click.of_kind(float(parts[0]), float(parts[1]), _KINDS[kind])
    except ValueError:
        raise ValueError(
            f"expected a click as Y,X,+ or Y,X,- or Y,X,b in pixels, got {text!r}; for example "
            "--click 120,85,+"
        ) from None
