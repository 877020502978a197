"""What ``napari-edgeflow segment`` does, once its arguments are understood."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress, track

from napari_edgeflow._types import BoolArray, Click, Prediction, Window
from napari_edgeflow.annotation.objects import Labels
from napari_edgeflow.cli.bands import choose_bands
from napari_edgeflow.errors import ExportError, RasterError
from napari_edgeflow.export.label_tiff import TiffHead, write_label_tiff
from napari_edgeflow.export.mask import check_label_path, write_label_image
from napari_edgeflow.raster.open import open_raster
from napari_edgeflow.raster.source import OpenRaster

if TYPE_CHECKING:
    from napari_edgeflow.inference.predictor import Predictor
    from napari_edgeflow.inference.session import Session


@dataclass(frozen=True, slots=True)
class SegmentRequest:
    """What to segment.

    Attributes:
        image: The image file.
        clicks: In the order given.
        out: The label image to write.
        mask: A label image whose nonzero pixels are the start, or None.
        field_of_view: Side of the square looked at, level-0 pixels; None: the session's choice.
        is_refined: Draw the outline of a large object again at full resolution.
        bands: A preset, or numbers; see ``choose_bands``. Empty: the first three.
    """

    image: Path
    clicks: tuple[Click, ...]
    out: Path
    mask: Path | None = None
    field_of_view: float | None = None
    is_refined: bool = False
    bands: str = ""


def load_predictor(model: str, device: str) -> Predictor:
    """The model called ``model`` on the device; see ``Predictor.from_zoo``."""
    from napari_edgeflow.inference.threads import wait_politely

    wait_politely()
    from napari_edgeflow.inference.predictor import Predictor

    return Predictor.from_zoo(model, device=device)


def segment_image(
    request: SegmentRequest, make_predictor: Callable[[], Predictor], *, verbose: bool = False
) -> str:
    """One line about the object; its label image is there when this returns.

    Whatever can be wrong with the request is found before the network is loaded.

    Raises:
        EdgeFlowError: A file, the weights or the device cannot be used.
        ValueError: A click lies outside the image, or the settings make no sense.
    """
    check_label_path(request.out)
    with open_raster(request.image) as raster:
        _check_request(request, raster)
        bands = choose_bands(raster, request.bands)
        start = None if request.mask is None else read_mask(request.mask, raster.shape)
        predictor = make_predictor()
        session = _open_session(raster, predictor, request.field_of_view, bands)
        prediction = _run_clicks(request, session, start, verbose)
        if request.is_refined:
            prediction = _refine(session, verbose)
        _write(request.out, prediction, raster)
    area = prediction.area_px
    return (
        f"area {area} px · score {prediction.score:.3f} · {predictor.device_line} · {request.out}"
    )


def read_mask(path: Path, shape: tuple[int, int]) -> BoolArray:
    """``(H, W) bool``: the nonzero pixels of a label image.

    Raises:
        RasterError: It is not of that shape, or has no nonzero pixel.
    """
    with open_raster(path) as raster:
        if raster.shape != shape:
            raise RasterError(
                f"expected a mask of the image's size, {shape[0]}×{shape[1]} px, but {path} has "
                f"{raster.shape[0]}×{raster.shape[1]} px; give a mask of the same image"
            )
        mask: BoolArray = (raster.read(Window(0, 0, *shape)) != 0)[:, :, :3].any(axis=2)
    if not mask.any():
        raise RasterError(
            f"expected a mask with nonzero pixels, but {path} is all 0; leave --mask out to start "
            "from clicks alone"
        )
    return mask


def _check_request(request: SegmentRequest, raster: OpenRaster) -> None:
    rows, columns = raster.shape
    whole = Window(0, 0, rows, columns)
    for click in request.clicks:
        if not whole.contains(click):
            raise ValueError(
                f"expected clicks inside the image of {rows}×{columns} px (Y,X from 0,0), got "
                f"{click.y:g},{click.x:g}; is it X,Y instead?"
            )
    if request.mask is None and not any(click.is_positive for click in request.clicks):
        raise ValueError(
            "expected a click on the object, got only clicks beside it; add --click Y,X,+"
        )
    side = request.field_of_view
    if side is not None and not (math.isfinite(side) and side >= 1):
        raise ValueError(f"expected a field of view of at least 1 px, got {side:g}")
    if request.out.exists() and request.out.samefile(request.image):
        raise ExportError(
            f"expected a file to write other than the image, got {request.out} for both; "
            "choose another --out"
        )


def _open_session(
    raster: OpenRaster,
    predictor: Predictor,
    field_of_view: float | None,
    bands: tuple[int, ...] | None,
) -> Session:
    from napari_edgeflow.inference.session import Session  # torch takes seconds: checks come first

    return Session(raster, predictor, field_of_view, bands=bands)


def _run_clicks(
    request: SegmentRequest, session: Session, start: BoolArray | None, verbose: bool
) -> Prediction:
    """The prediction after the last click; progress goes to stderr, and only to a terminal."""
    console = Console(stderr=True)
    if start is not None:
        session.start_from(start)
    for number, click in enumerate(
        track(
            request.clicks,
            "Segmenting",
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ),
        start=1,
    ):
        prediction = session.add_click(
            click.y, click.x, click.is_positive, is_boundary=click.is_boundary
        )
        if verbose:
            timings = session.timings
            typer.echo(
                f"click {number}: read {timings.read_s * 1e3:.0f} ms, network "
                f"{timings.network_s * 1e3:.0f} ms, post-processing {timings.post_s * 1e3:.0f} ms",
                err=True,
            )
    return prediction


def _refine(session: Session, verbose: bool) -> Prediction:
    """The prediction with its outline refined; progress goes to stderr."""
    if not session.can_refine:
        typer.echo("Note: the outline is at full resolution already", err=True)
    console = Console(stderr=True)
    began = time.perf_counter()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Refining")
        prediction = session.refine(
            lambda done, total: bar.update(task, completed=done, total=total)
        )
    if verbose:
        typer.echo(f"refining: {time.perf_counter() - began:.1f} s", err=True)
    return prediction


class MaskStrips:
    """The mask of a prediction as labels, 1 for the object; a ``LabelReader``.

    One strip of rows is kept, as writers go through an image row by row of tiles.

    Args:
        prediction: Whose.
        shape: (rows, columns) of the raster.
    """

    def __init__(self, prediction: Prediction, shape: tuple[int, int]) -> None:
        self.shape = shape
        self._prediction = prediction
        self._rows, self._strip = (0, 0), np.zeros((0, 0), bool)

    def read(self, window: Window) -> Labels:
        """``(h, w) uint32`` ids of the window."""
        labels = np.zeros(window.shape, np.uint32)
        common = self._prediction.window.intersect(window)
        if common is not None:
            left, right = self._prediction.window.x0, self._prediction.window.x1
            if self._rows != (common.y0, common.y1):
                self._rows = common.y0, common.y1
                strip = Window(common.y0, left, common.y1, right)
                self._strip = self._prediction.mask_in(strip)
            part = self._strip[:, common.x0 - left : common.x1 - left]
            labels[common.relative_to(window).slices] = part
        return labels


def _write(out: Path, prediction: Prediction, raster: OpenRaster) -> None:
    """Nothing; a TIFF is written tile by tile, whatever the raster's size."""
    labels, reference = MaskStrips(prediction, raster.shape), raster.georeference
    if out.suffix.lower() == ".png":
        write_label_image(out, labels.read(Window(0, 0, *raster.shape)).astype(np.uint8))
        if reference is not None:
            typer.echo(f"Note: PNG keeps no place on the map, so {out} has none", err=True)
        return
    head = TiffHead() if reference is None else TiffHead(reference.mask_tags())
    write_label_tiff(out, labels, np.dtype(np.uint8), head)
