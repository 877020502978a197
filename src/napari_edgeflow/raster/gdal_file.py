"""Files that only GDAL opens (JPEG 2000, VRT, ERDAS, ENVI and kin), read by window."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_edgeflow._lazy import import_optional
from napari_edgeflow._types import AnyArray
from napari_edgeflow.errors import RasterError
from napari_edgeflow.raster.details import BandInfo, Details
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.place import place_of_dataset

_COLOURS = {"red": "red", "green": "green", "blue": "blue", "gray": "gray", "alpha": "alpha"}


class NotForGdalError(RasterError):
    """GDAL knows no format that the file could be of."""


class GdalArray:
    """``(bands, rows, columns)`` of one level of a file; GDAL reads the window alone.

    GDAL's datasets are not safe to share between threads, so one lock guards each file.
    """

    def __init__(self, dataset: Any, lock: threading.Lock, *, is_mask: bool = False) -> None:
        """Describe the level.

        Args:
            dataset: Open ``rasterio`` dataset of the level.
            lock: Held while pixels are read; the same for all levels of a file.
            is_mask: Give the mask, ``(rows, columns) uint8``, nonzero where there is a pixel.
        """
        self._dataset, self._lock, self._is_mask = dataset, lock, is_mask
        rows, columns = int(dataset.height), int(dataset.width)
        block = tuple(int(side) for side in dataset.block_shapes[0])
        self.shape: tuple[int, ...] = (rows, columns) if is_mask else (dataset.count, rows, columns)
        self.chunks: tuple[int, ...] = block if is_mask else (1, *block)
        self.dtype = np.dtype(np.uint8) if is_mask else np.dtype(dataset.dtypes[0])

    def __getitem__(self, key: tuple[slice, ...]) -> AnyArray:
        bands, rows, columns = (slice(None), *key)[-3:]
        window = (_span(rows, self.shape[-2]), _span(columns, self.shape[-1]))
        with self._lock:
            if self._is_mask:
                mask: AnyArray = self._dataset.dataset_mask(window=window)
                return mask
            indexes = [band + 1 for band in range(*bands.indices(self.shape[0]))]
            pixels: AnyArray = self._dataset.read(indexes, window=window)
        return pixels


def open_gdal(path: Path) -> ArrayRaster:
    """Raster of any file that GDAL opens; its overviews are the levels.

    Raises:
        ModuleNotFoundError: rasterio is not installed; the message says how to.
        NotForGdalError: GDAL cannot read the file.
        RasterError: It holds several rasters, or bands that differ in type.
    """
    rasterio = import_optional("rasterio", extra="geo", needed_for=f"open {path.name}")
    datasets: list[Any] = []
    try:
        with _quiet(rasterio):
            datasets.append(rasterio.open(path))
            first = datasets[0]
            _check(first, path)
            for number in range(len(first.overviews(1))):
                datasets.append(rasterio.open(path, overview_level=number))
        return _raster(datasets, path)
    except BaseException as error:
        for dataset in datasets:
            dataset.close()
        if isinstance(error, rasterio.errors.RasterioError):
            raise NotForGdalError(
                f"{path.name}: expected a raster that GDAL reads, but it is none ({error}); "
                "save it as GeoTIFF, PNG or JPEG first"
            ) from error
        raise


@contextlib.contextmanager
def _quiet(rasterio: Any) -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        yield


def _check(dataset: Any, path: Path) -> None:
    if dataset.count == 0:
        parts = ", ".join(dataset.subdatasets[:8]) or "none"
        raise RasterError(
            f"{path.name}: expected one raster, got a container (parts: {parts}); "
            "save the part as GeoTIFF first, for example with gdal_translate"
        )
    if len(set(dataset.dtypes)) > 1:
        raise RasterError(
            f"{path.name}: expected bands of one type, got {', '.join(dataset.dtypes)}; convert "
            "them, for example with gdal_translate -ot Float32"
        )


def _raster(datasets: Sequence[Any], path: Path) -> ArrayRaster:
    lock = threading.Lock()
    first = datasets[0]
    masked = any(str(flag) != "MaskFlags.all_valid" for flag in first.mask_flag_enums[0])
    masks = [GdalArray(dataset, lock, is_mask=True) for dataset in datasets] if masked else []

    def close() -> None:
        with lock:
            for dataset in datasets:
                dataset.close()

    return ArrayRaster(
        [GdalArray(dataset, lock) for dataset in datasets],
        name=path.name,
        axes="CYX",
        on_close=close,
        details=Details(
            bands=tuple(_band(first, number) for number in range(first.count)),
            nodata=None if first.nodata is None else float(first.nodata),
            masks=tuple(masks),
            place=place_of_dataset(first),
            path=path,
        ),
    )


def _band(dataset: Any, number: int) -> BandInfo:
    tags = dataset.tags(number + 1) | dataset.tags(number + 1, ns="IMAGERY")
    colour = _COLOURS.get(dataset.colorinterp[number].name, "")
    return BandInfo(dataset.descriptions[number] or "", colour, wavelength_of(tags))


def wavelength_of(tags: dict[str, str]) -> float | None:
    """Centre wavelength in nanometres from GDAL's and ENVI's tags of a band; None without."""
    lower = {key.lower(): value for key, value in tags.items()}
    try:
        if "central_wavelength_um" in lower:
            return float(lower["central_wavelength_um"]) * 1000
        if "wavelength" not in lower:
            return None
        value = float(lower["wavelength"])
    except ValueError:
        return None
    unit = lower.get("wavelength_units", "").lower()
    is_micro = unit.startswith(("micro", "um", "µm")) or (not unit and value < 100)
    return value * 1000 if is_micro else value


def _span(part: slice, size: int) -> tuple[int, int]:
    start, stop, _ = part.indices(size)
    return start, stop
