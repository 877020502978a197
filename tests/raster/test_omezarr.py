"""OME-Zarr of both formats: levels by the metadata, planes, and errors that name the level."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.errors import RasterError
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.open import open_raster
from napari_edgeflow.raster.stretch import estimate_stretch


def _pixels(*shape: int) -> AnyArray:
    return np.random.default_rng(3).integers(0, 5000, shape).astype(np.uint16)


def _axes(letters: str) -> list[dict[str, str]]:
    kinds = {"t": "time", "c": "channel"}
    units = {"y": "micrometer", "x": "micrometer", "z": "micrometer"}
    return [
        {"name": letter, "type": kinds.get(letter, "space")}
        | ({"unit": units[letter]} if letter in units else {})
        for letter in letters
    ]


def _write(
    path: Path, levels: list[AnyArray], letters: str, scales: list[Any], zarr_format: Any,
    **more: Any,
) -> Path:  # fmt: skip
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    datasets = []
    for number, (level, scale) in enumerate(zip(levels, scales, strict=True)):
        chunks = (1,) * (level.ndim - 2) + (64, 64)
        array = group.create_array(str(number), shape=level.shape, dtype=level.dtype, chunks=chunks)
        array[...] = level
        transformations = [{"type": "scale", "scale": scale}]
        datasets.append({"path": str(number), "coordinateTransformations": transformations})
    multiscale: dict[str, Any] = {"axes": _axes(letters), "datasets": datasets, "name": "cells"}
    if zarr_format == 2:
        group.attrs.update({"multiscales": [multiscale | {"version": "0.4"}], **more})
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale], **more}
    return path


def _open(image: Any, **options: Any) -> ArrayRaster:
    raster = open_raster(image, **options)
    assert isinstance(raster, ArrayRaster)
    return raster


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_levels_planes_and_scales(tmp_path: Path, zarr_format: int) -> None:
    full = _pixels(2, 3, 131, 170)
    levels = [full, full[..., ::3, ::3], full[..., ::9, ::9]]
    scales = [[1, 2.0, 0.5 * 3**k, 0.25 * 3**k] for k in range(3)]
    path = _write(tmp_path / "a.zarr", levels, "tcyx", scales, zarr_format)
    for image in (path, str(path), zarr.open_group(path, mode="r")):
        with _open(image, index=(1,)) as raster:
            assert (raster.shape, raster.n_bands) == ((131, 170), 3)
            assert [level.scale_yx for level in raster.levels] == [(1, 1), (3, 3), (9, 9)]
            assert raster.levels[0].chunk == (64, 64)
            size = raster.details.pixel_size
            assert size is not None
            assert (size.y, size.x, size.unit) == (0.5, 0.25, "µm")
            for number, level in enumerate(levels):
                rows, columns = level.shape[2:]
                window = Window(rows - 9, columns - 11, rows, columns)
                np.testing.assert_array_equal(
                    raster.read(window, number, (2, 0)),
                    np.moveaxis(level[1][[2, 0], -9:, -11:], 0, -1),
                )
    with pytest.raises(RasterError, match="T = 2, got no index"):
        open_raster(path)


def test_scales_are_the_files_not_a_guess(tmp_path: Path) -> None:
    full = _pixels(100, 101)
    levels = [full, full[:40, :40]]
    path = _write(tmp_path / "a.zarr", levels, "yx", [[1.0, 1.0], [2.5, 2.5]], 3)
    assert [level.scale_yx for level in _open(path).levels] == [(1, 1), (2.5, 2.5)]


def test_levels_that_shrink_in_z_are_left_out(tmp_path: Path) -> None:
    full = _pixels(8, 64, 64)
    levels = [full, full[:, ::2, ::2], full[::2, ::4, ::4]]
    scales = [[1.0, 1, 1], [1, 2, 2], [2, 4, 4]]
    raster = _open(_write(tmp_path / "a.zarr", levels, "zyx", scales, 3), index=(7,))
    assert [level.scale_yx for level in raster.levels] == [(1, 1), (2, 2)]


def test_channels_give_names_and_limits(tmp_path: Path) -> None:
    channels = [
        {"label": "DAPI", "window": {"start": 10, "end": 900, "min": 0, "max": 65535}},
        {"label": "GFP", "window": {"start": 0, "end": 4000, "min": 0, "max": 65535}},
    ]
    path = _write(
        tmp_path / "a.zarr", [_pixels(2, 30, 40)], "cyx", [[1.0, 1, 1]], 2,
        omero={"channels": channels},
    )  # fmt: skip
    raster = _open(path)
    assert [band.name for band in raster.details.bands] == ["DAPI", "GFP"]
    stretch = estimate_stretch(raster, (1,))
    assert (stretch.low, stretch.high) == ((0,), (4000,))


def test_the_layout_of_bioformats2raw(tmp_path: Path) -> None:
    image = _pixels(30, 40)
    root = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    _write(tmp_path / "a.zarr" / "0", [image], "yx", [[1.0, 1]], 2)
    np.testing.assert_array_equal(
        _open(tmp_path / "a.zarr").read(Window(0, 0, 30, 40))[:, :, 0], image
    )


def test_plain_arrays_and_files_of_old(tmp_path: Path) -> None:
    image = _pixels(30, 40)
    zarr.create_array(tmp_path / "plain.zarr", data=image)
    np.testing.assert_array_equal(
        _open(tmp_path / "plain.zarr").read(Window(0, 0, 30, 40))[:, :, 0], image
    )
    group = zarr.open_group(tmp_path / "old.zarr", mode="w", zarr_format=2)
    group["0"] = image[None, None, None]
    group.attrs["multiscales"] = [{"datasets": [{"path": "0"}], "version": "0.1"}]
    raster = _open(tmp_path / "old.zarr")
    np.testing.assert_array_equal(raster.read(Window(0, 0, 30, 40))[:, :, 0], image)
    assert raster.details.pixel_size is None


def test_missing_chunks_are_the_fill_value_and_damaged_ones_an_error(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.zarr", [_pixels(128, 128) + 1], "yx", [[1.0, 1]], 3)
    (path / "0" / "c" / "0" / "0").unlink()
    (path / "0" / "c" / "1" / "1").write_bytes(b"no longer a chunk")
    raster = _open(path)
    assert not raster.read(Window(0, 0, 64, 64)).any()
    assert raster.read(Window(0, 64, 64, 128)).all()
    with pytest.raises(RasterError, match=r"a\.zarr, but it is damaged"):
        raster.read(Window(100, 100, 128, 128))


def _broken(path: Path, change: Any) -> Path:
    _write(path, [_pixels(30, 40), _pixels(15, 20)], "yx", [[1.0, 1], [2, 2]], 3)
    document = json.loads((path / "zarr.json").read_text())
    change(document["attributes"]["ome"])
    (path / "zarr.json").write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ome: ome.pop("multiscales"), "without.*it holds 0, 1"),
        (lambda ome: ome["multiscales"][0].update(datasets=[]), "under 'datasets', got none"),
        (lambda ome: ome["multiscales"][0]["datasets"][1].update(path="9"), "the level '9'"),
        (lambda ome: ome["multiscales"][0].update(axes=_axes("zyx")), "expected 2 different axes"),
        (lambda ome: ome["multiscales"][0].update(axes=_axes("cz")), "y and x among them"),
    ],
)
def test_metadata_that_contradict_the_arrays(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(RasterError, match=rf"(?s)a\.zarr: .*{message}"):
        open_raster(_broken(tmp_path / "a.zarr", change))


def test_a_folder_that_is_no_zarr(tmp_path: Path) -> None:
    with pytest.raises(RasterError, match=r"Is a directory, and not zarr.*check the path"):
        open_raster(tmp_path)
