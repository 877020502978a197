"""Images for File > Open Sample, bundled with the package.

Each function returns napari layer data and reads one file of ``sample_images``, whose
``ATTRIBUTION.md`` names its source and licence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from napari_edgeflow._types import AnyArray

SAMPLE_FOLDER = Path(__file__).parent / "sample_images"

LayerTuple = tuple[AnyArray, dict[str, Any], Literal["image"]]


def open_nuclei() -> list[LayerTuple]:
    """Fluorescent nuclei: one image layer, (520, 696) uint8, grey."""
    return [_read_jpeg("nuclei")]


def open_phase_contrast() -> list[LayerTuple]:
    """Glioma cells in phase contrast: one image layer, (1022, 1024) uint8, grey."""
    return [_read_jpeg("phase_contrast")]


def open_mushrooms() -> list[LayerTuple]:
    """A photograph of mushrooms from above: one image layer, (640, 640, 3) uint8, RGB."""
    return [_read_jpeg("mushrooms")]


def open_aerial_buildings() -> list[LayerTuple]:
    """Buildings seen from a drone: one image layer, (1280, 1280, 3) uint8, RGB.

    The layer is in pixels; ``metadata["path"]`` leads to the GeoTIFF and its georeference.
    """
    import tifffile

    path = SAMPLE_FOLDER / "aerial_buildings.tif"
    return [_as_layer(tifffile.imread(path), path)]


def _read_jpeg(name: str) -> LayerTuple:
    """Layer data of ``sample_images/<name>.jpg``."""
    from skimage.io import imread

    path = SAMPLE_FOLDER / f"{name}.jpg"
    return _as_layer(imread(path), path)


def _as_layer(pixels: AnyArray, path: Path) -> LayerTuple:
    """Layer data of an (H, W) or (H, W, 3) image; the metadata keeps the file's path."""
    options = {
        "name": path.stem.replace("_", " "),
        "rgb": pixels.ndim == 3,
        "metadata": {"path": str(path)},
    }
    return pixels, options, "image"
