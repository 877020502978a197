"""Label images: values against other readers, and all of the file or none of it."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_edgeflow._types import AnyArray
from napari_edgeflow.errors import ExportError
from napari_edgeflow.export.mask import check_label_path, write_label_image

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file of this process can grow past 20 000 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _labels(shape: tuple[int, int], highest: int, dtype: Any = np.int64) -> AnyArray:
    labels = np.random.default_rng(11).integers(0, highest, shape, np.int64, endpoint=True)
    labels[-1, -1] = highest
    return labels.astype(dtype)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (257, 255), (600, 513)])
@pytest.mark.parametrize(
    ("highest", "stored"),
    [(0, "uint8"), (255, "uint8"), (256, "uint16"), (65535, "uint16"), (65536, "uint32"),
     (2**32 - 1, "uint32")],
)  # fmt: skip
def test_tiff_holds_the_ids_in_the_smallest_type(
    tmp_path: Path, shape: tuple[int, int], highest: int, stored: str
) -> None:
    labels = _labels(shape, highest)
    path = tmp_path / "labels.tif"
    write_label_image(path, labels)
    with rasterio.open(path) as judge:
        assert judge.dtypes == (stored,)
        assert judge.compression == rasterio.enums.Compression.deflate
        np.testing.assert_array_equal(judge.read(1), labels)
    np.testing.assert_array_equal(tifffile.imread(path), labels)


@pytest.mark.parametrize(
    ("highest", "mode"), [(1, "L"), (255, "L"), (256, "I;16"), (65535, "I;16")]
)
def test_png_holds_the_ids(tmp_path: Path, highest: int, mode: str) -> None:
    labels = _labels((31, 45), highest)
    write_label_image(tmp_path / "labels.PNG", labels)
    with Image.open(tmp_path / "labels.PNG") as judge:
        assert judge.mode == mode
        np.testing.assert_array_equal(np.asarray(judge), labels)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int32, np.uint64, ">i4"])
@pytest.mark.parametrize("suffix", [".tif", ".tiff", ".png"])
def test_every_integer_type_goes_in(tmp_path: Path, dtype: Any, suffix: str) -> None:
    labels = _labels((20, 30), 1, dtype)
    path = tmp_path / f"labels{suffix}"
    write_label_image(str(path), labels.T)
    stored = tifffile.imread(path) if suffix != ".png" else np.asarray(Image.open(path))
    assert stored.dtype == np.uint8
    np.testing.assert_array_equal(stored, labels.T)


@given(
    labels=st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(0, 70_000)).map(
        lambda t: _labels(t[:2], t[2])
    )
)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_labels_come_back(tmp_path: Path, labels: AnyArray) -> None:
    write_label_image(tmp_path / "a.tif", labels)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), labels)


def test_ids_too_high_for_png(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="up to 65535 for PNG, got 65536; write a TIFF"):
        write_label_image(tmp_path / "a.png", _labels((5, 5), 65536))
    assert list(tmp_path.iterdir()) == []


def test_ids_too_high_for_any_format(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="got 4294967296; number the objects anew"):
        write_label_image(tmp_path / "a.tif", _labels((5, 5), 2**32))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((3, 4, 5), int), r"shape \(H, W\).*got shape \(3, 4, 5\)"),
        (np.zeros((0, 5), int), r"got shape \(0, 5\)"),
        (np.zeros((4, 5)), "float64"),
        (np.full((4, 5), -1), "labels ≥ 0, got -1"),
    ],
)
def test_arrays_that_are_no_labels(tmp_path: Path, labels: AnyArray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_label_image(tmp_path / "a.tif", labels)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.jpg", "ending in .tif, .tiff, .png, got 'a.jpg'"),
        ("a", "got 'a'"),
        ("missing/a.tif", "missing is none; make it first"),
        ("file/a.tif", "file is none"),
        ("folder.tif", "is a folder; name a file in it"),
    ],
)
def test_places_that_cannot_be_written(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.tif").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for attempt in (
        lambda: check_label_path(tmp_path / name),
        lambda: write_label_image(tmp_path / name, np.eye(4, dtype=int)),
    ):
        with pytest.raises(ExportError, match=message):
            attempt()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, small_disk: None, suffix: str) -> None:
    path = tmp_path / f"labels{suffix}"
    with pytest.raises(ExportError, match=r"the system refused.*free some space"):
        write_label_image(path, _labels((300, 300), 60_000))
    assert list(tmp_path.iterdir()) == []
    write_label_image(path, np.eye(9, dtype=int))
    before = path.read_bytes()
    with pytest.raises(ExportError, match="the system refused"):
        write_label_image(path, _labels((300, 300), 60_000))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ExportError, match=r"Permission denied.*choose a folder"):
        write_label_image(tmp_path / "a.tif", np.eye(4, dtype=int))


def test_stopping_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        write_label_image(tmp_path / "a.tif", np.eye(4, dtype=int))
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_on_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    synced: list[bool] = []
    fsync = os.fsync

    def watch(descriptor: int) -> None:
        synced.append(path.exists())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    write_label_image(path, np.eye(4, dtype=int))
    assert synced == [False]
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_it(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        write_label_image(tmp_path / "a.tif", np.eye(4, dtype=int))
    finally:
        os.umask(mask)
    assert (tmp_path / "a.tif").stat().st_mode & 0o777 == 0o644
