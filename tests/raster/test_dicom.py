"""DICOM files made by pydicom: units, window, spacing, frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.errors import RasterError
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.open import open_raster
from napari_edgeflow.raster.stretch import estimate_stretch


def _slice(path: Path, stored: AnyArray, **tags: Any) -> Path:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    colour = stored.ndim == 3 and stored.shape[-1] == 3
    dataset.Rows, dataset.Columns = stored.shape[-3:-1] if colour else stored.shape[-2:]
    dataset.SamplesPerPixel = 3 if colour else 1
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = stored.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.PixelData = stored.tobytes()
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _open(path: Path, **options: Any) -> ArrayRaster:
    raster = open_raster(path, **options)
    assert isinstance(raster, ArrayRaster)
    return raster


def _stored(*shape: int) -> AnyArray:
    return np.random.default_rng(1).integers(-1000, 2000, shape).astype(np.int16)


def test_units_window_and_spacing(tmp_path: Path) -> None:
    stored = _stored(20, 31)
    path = _slice(
        tmp_path / "a.dcm", stored, RescaleSlope=2, RescaleIntercept=-1024,
        WindowCenter=[40, 400], WindowWidth=[400, 1800], PixelSpacing=[0.5, 0.75],
    )  # fmt: skip
    raster = _open(path)
    values = raster.read(Window(0, 0, 20, 31))
    np.testing.assert_array_equal(values[:, :, 0], stored * 2.0 - 1024)
    size = raster.details.pixel_size
    assert size is not None
    assert (size.y, size.x, size.unit) == (0.5, 0.75, "mm")
    stretch = estimate_stretch(raster)
    # DICOM PS3.3 C.11.2.1.2.1: ((x - (c - 0.5)) / (w - 1) + 0.5), cut to 0…1
    expected = np.clip((values[:, :, 0] - (40 - 0.5)) / (400 - 1) + 0.5, 0, 1)
    np.testing.assert_allclose(stretch.apply(values)[:, :, 0], expected, atol=1e-6)


def test_without_window_and_slope_the_values_are_kept(tmp_path: Path) -> None:
    stored = _stored(20, 31)
    raster = _open(_slice(tmp_path / "a", stored))
    assert raster.dtype == np.int16
    np.testing.assert_array_equal(raster.read(Window(0, 0, 20, 31))[:, :, 0], stored)
    assert raster.details.limits == ()


def test_low_values_shown_white(tmp_path: Path) -> None:
    stored = _stored(20, 31)
    window = {"WindowCenter": 100, "WindowWidth": 201}
    path = _slice(tmp_path / "a", stored, PhotometricInterpretation="MONOCHROME1", **window)
    raster = _open(path)
    shown = estimate_stretch(raster).apply(raster.read(Window(0, 0, 20, 31)))[:, :, 0]
    upright = _open(_slice(tmp_path / "b", stored, **window))
    expected = 1 - estimate_stretch(upright).apply(upright.read(Window(0, 0, 20, 31)))[:, :, 0]
    np.testing.assert_allclose(shown, expected, atol=1e-6)


def test_frames_and_colour(tmp_path: Path) -> None:
    stored = _stored(3, 20, 31)
    path = _slice(tmp_path / "a", stored, NumberOfFrames=3)
    with pytest.raises(RasterError, match="Z = 3, got no index"):
        open_raster(path)
    raster = _open(path, index=(2,))
    np.testing.assert_array_equal(raster.read(Window(0, 0, 20, 31))[:, :, 0], stored[2])
    rgb = np.random.default_rng(2).integers(0, 255, (9, 8, 3)).astype(np.uint8)
    raster = _open(_slice(tmp_path / "b", rgb))
    np.testing.assert_array_equal(raster.read(Window(0, 0, 9, 8)), rgb)


def test_a_file_without_pixels(tmp_path: Path) -> None:
    path = _slice(tmp_path / "a.dcm", _stored(20, 31))
    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)
    with pytest.raises(RasterError, match=r"a\.dcm: expected a DICOM image"):
        open_raster(path)
