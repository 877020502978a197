"""Pictures of the annotations: label masks, pseudo-colour, objects cut out of the image."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_edgeflow._files import write_whole
from napari_edgeflow._types import Window
from napari_edgeflow.annotation.objects import AnnotationSet, ImageInfo, tiles
from napari_edgeflow.errors import ExportError
from napari_edgeflow.export.label_tiff import TiffHead, write_label_tiff
from napari_edgeflow.export.mask import check_label_path, write_label_image
from napari_edgeflow.export.palette import palette_png, png_bytes
from napari_edgeflow.export.run import PLAIN_RUN, ExportRun
from napari_edgeflow.export.views import MappedLabels, class_view, objects_only, read_whole
from napari_edgeflow.raster.georef import GeoReference
from napari_edgeflow.raster.place import reference_of
from napari_edgeflow.raster.source import RasterSource
from napari_edgeflow.raster.stretch import Stretch, default_bands, estimate_stretch


@dataclass(frozen=True, eq=False)
class StretchedPixels:
    """A raster as it is shown, for cut-outs; a ``PixelReader``.

    Attributes:
        source: The raster.
        stretch: From its bands to RGB; uint8 that is shown as it is comes out unchanged.
        bands: The bands that are shown.
    """

    source: RasterSource
    stretch: Stretch
    bands: tuple[int, ...]

    @classmethod
    def of(cls, source: RasterSource) -> StretchedPixels:
        """With the stretch and bands that the viewer begins with."""
        bands = default_bands(source.n_bands)
        return cls(source, estimate_stretch(source, bands), bands)

    def read_rgb(self, window: Window) -> npt.NDArray[np.uint8]:
        """``(h, w, 3) uint8`` of the window."""
        pixels = self.source.read(window, bands=self.bands)
        return np.rint(self.stretch.apply(pixels) * 255).astype(np.uint8)


def write_object_mask(
    path: Path, annotated: AnnotationSet, run: ExportRun = PLAIN_RUN
) -> tuple[str, ...]:
    """What the file could not hold; pixels have the ids of their objects.

    TIFF is written tile by tile, whatever the image's size; PNG needs the image whole.

    Raises:
        ExportError: PNG cannot hold the ids or the size, or the file cannot be written.
    """
    _write_mask(path, objects_only(annotated), annotated, run)
    lost = "classes and names are not in a label mask"
    return (lost, *_no_place(path, annotated)) if annotated.objects else ()


def write_class_mask(
    path: Path, annotated: AnnotationSet, run: ExportRun = PLAIN_RUN
) -> tuple[str, ...]:
    """What the file could not hold; pixels have the ids of their objects' classes.

    Raises:
        ExportError: PNG cannot hold the ids or the size, or the file cannot be written.
    """
    _write_mask(path, class_view(annotated), annotated, run)
    lost = "objects of one class that touch cannot be told apart in a class mask"
    return (lost, *_no_place(path, annotated)) if len(annotated.objects) > 1 else ()


def write_pseudocolor(
    path: Path, annotated: AnnotationSet, run: ExportRun = PLAIN_RUN
) -> tuple[str, ...]:
    """What the file could not hold; pixels have the colours of their classes.

    A PNG with a palette whose indices are class ids; with ids above 255, plain RGB.

    Raises:
        ExportError: The image is too large, or the file cannot be written.
    """
    classes = read_whole(class_view(annotated), "a pseudo-colour PNG", run)
    colors = {c.id: c.color for c in annotated.classes}
    highest = max(colors, default=0)
    notes = ("objects of one class have one colour",) if len(annotated.objects) > 1 else ()
    if highest <= 255:
        table = [colors.get(index, (0, 0, 0)) for index in range(highest + 1)]
        write_whole(path, palette_png(classes, table))
        return notes
    rgb = np.zeros((*classes.shape, 3), np.uint8)
    for class_id, color in colors.items():
        rgb[classes == class_id] = color
    write_whole(path, png_bytes(Image.fromarray(rgb)))
    return (*notes, f"class ids up to {highest} do not fit a palette of 256: the file is RGB")


def write_cutout(
    path: Path, annotated: AnnotationSet, run: ExportRun = PLAIN_RUN
) -> tuple[str, ...]:
    """What the file could not hold: an RGBA PNG of the image, transparent beside the objects.

    Raises:
        ExportError: The set has no pixels, the image is too large, or the file cannot be written.
    """
    if annotated.pixels is None:
        raise ExportError(
            f"expected the image {annotated.image.name} for a cut-out, got labels only; give "
            "the annotations its pixels"
        )
    inside = read_whole(objects_only(annotated), "a cut-out PNG", run) > 0
    rgba = np.zeros((*inside.shape, 4), np.uint8)
    for window in tiles(inside.shape):
        run.check()
        shown = inside[window.slices]
        if shown.any():
            rgba[window.slices][shown, :3] = annotated.pixels.read_rgb(window)[shown]
    rgba[..., 3] = np.where(inside, 255, 0)
    write_whole(path, png_bytes(Image.fromarray(rgba)))
    return ("objects and classes cannot be told apart in a cut-out",)


def _no_place(path: Path, annotated: AnnotationSet) -> tuple[str, ...]:
    image = annotated.image
    if path.suffix.lower() == ".png" and (image.georeference or image.place):
        return ("the place on the map is not in a PNG; TIFF keeps it",)
    if path.suffix.lower() != ".png" and image.place is not None and _reference(image) is None:
        return ("the place on the map is not in the file: it needs the package rasterio",)
    return ()


def _reference(image: ImageInfo) -> GeoReference | None:
    """The image's own tags; else those that say its place, where it came from another format."""
    if image.georeference is not None or image.place is None:
        return image.georeference
    with suppress(ModuleNotFoundError):
        return reference_of(image.place)
    return None


def _write_mask(path: Path, labels: MappedLabels, annotated: AnnotationSet, run: ExportRun) -> None:
    target = check_label_path(path)
    if target.suffix.lower() == ".png":
        write_label_image(target, read_whole(labels, "a PNG", run))
        return
    reference = _reference(annotated.image)
    head = TiffHead() if reference is None else TiffHead(reference.mask_tags())
    write_label_tiff(target, labels, np.min_scalar_type(labels.highest), head, run)
