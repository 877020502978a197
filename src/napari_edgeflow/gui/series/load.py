"""An image of a series as napari layers, read in a worker so that showing it takes no reading."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_edgeflow._types import AnyArray
from napari_edgeflow.errors import RasterError

MEMORY_BYTES = 2**28
"""Images up to this size are read whole; larger ones stay lazy."""
_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif")


@dataclass(frozen=True, slots=True, eq=False)
class LoadedImage:
    """What ``napari.layers.Image`` takes, for each layer of a file.

    Attributes:
        path: The file.
        layers: (data, options) of each; ``metadata["path"]`` leads back to the file.
    """

    path: Path
    layers: tuple[tuple[Any, Mapping[str, Any]], ...]

    @property
    def n_bytes(self) -> int:
        """Memory that it takes; lazy layers count nothing."""
        return sum(data.nbytes for data, _ in self.layers if isinstance(data, np.ndarray))


def load_image(path: Path) -> LoadedImage:
    """The image's layers, in memory where they fit, with contrast limits.

    Rasters come lazily through our own reader, pictures whole; whatever else through the readers
    that napari knows.

    Raises:
        RasterError: It is no image, or damaged.
        Exception: Whatever another plugin's reader raises.
    """
    if path.suffix.lower() in _PICTURES:
        from napari_edgeflow.raster.picture import read_picture

        pixels = read_picture(path)
        layers = [(pixels, {"rgb": pixels.ndim == 3})]
    else:
        layers = _read_with_plugins(path)
    ready = [_ready(path, data, dict(options)) for data, options in layers]
    if not ready:
        raise RasterError(
            f"{path.name}: expected an image, got other layers; open it by hand, or leave it out "
            "with the filter"
        )
    return LoadedImage(path, tuple(ready))


def _read_with_plugins(path: Path) -> list[tuple[Any, dict[str, Any]]]:
    from napari_edgeflow.gui.files.reader import get_reader

    read = get_reader(str(path))
    if read is not None:
        return [(data, options) for data, options, _ in read(str(path))]
    import npe2

    found = npe2.read([str(path)], stack=False)
    return [
        (one[0], dict(one[1]) if len(one) > 1 else {})
        for one in found
        if len(one) < 3 or one[2] == "image"
    ]


def _ready(path: Path, data: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The layer with its pixels in memory, if they fit, and without anything left to measure."""
    if not options.get("multiscale", False) and not isinstance(data, list | tuple):
        data = _in_memory(data)
    options.setdefault("name", path.stem)
    options["metadata"] = {**options.get("metadata", {}), "path": str(path)}
    if isinstance(data, np.ndarray) and "contrast_limits" not in options and not _is_rgb(options):
        limits = _limits(data)
        options.update({"contrast_limits": limits} if limits else {})
    return data, options


def _in_memory(data: Any) -> Any:
    if isinstance(data, np.ndarray):
        return data
    n_bytes = math.prod(int(side) for side in data.shape) * np.dtype(data.dtype).itemsize
    if n_bytes > MEMORY_BYTES:
        return data
    whole: AnyArray = np.asarray(data[(slice(None),) * len(data.shape)])
    return whole


def _is_rgb(options: Mapping[str, Any]) -> bool:
    return bool(options.get("rgb", False))


def _limits(data: AnyArray) -> tuple[float, float] | None:
    """Lowest and highest finite value, as napari would choose; None to leave it to napari."""
    if data.dtype == np.uint8 or data.dtype.kind not in "uif" or not data.size:
        return None
    finite = data[np.isfinite(data)] if data.dtype.kind == "f" else data
    if not finite.size:
        raise RasterError("expected an image with finite pixels, got NaN or infinity everywhere")
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low, low + 1.0)
