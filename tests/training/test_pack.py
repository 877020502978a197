"""The pack gives back the pixels and ids that went in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from napari_edgeflow.errors import DatasetError
from napari_edgeflow.training.pack import Pack, check_pack, write_pack

MakeDataset = Callable[..., Path]


def _read(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), dtype=np.uint16)


def test_round_trip(make_dataset: MakeDataset, tmp_path: Path) -> None:
    shapes = [(40, 60), (33, 71), (90, 50)]
    first = make_dataset("cells", shapes, with_ignore=True)
    second = make_dataset("roofs", [(64, 64)], seed=1)
    lines: list[str] = []
    write_pack([first, second], tmp_path / "pack", lines.append)
    pack = Pack(tmp_path / "pack")
    assert [item.dataset for item in pack.images] == ["cells"] * 3 + ["roofs"]
    assert [item.shape for item in pack.images] == [*shapes, (64, 64)]
    files = [first / "{}" / f"{n:03}.png" for n in range(3)] + [second / "{}" / "000.png"]
    for index, file in enumerate(files):
        ids = _read(Path(str(file).format("masks")))
        np.testing.assert_array_equal(pack.labels(index), ids)
        pixels = _read(Path(str(file).format("images")))[..., ::-1]
        np.testing.assert_array_equal(pack.image(index), pixels)
        rows, columns = np.nonzero(ids == 7)
        box = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
        found = [item for item in pack.objects if item.image == index]
        assert [(item.label, item.box) for item in found] == [(7, box)]
    assert lines == ["cells: 3 images, 3 objects", "roofs: 4 images, 4 objects"]


def _write(folder: Path, image: np.ndarray, ids: np.ndarray) -> Path:
    for part, pixels in (("images", image), ("masks", ids)):
        (folder / part).mkdir(parents=True)
        tifffile.imwrite(folder / part / "a.tif", pixels)
    return folder


def test_sixteen_bit_grey_is_stretched_to_the_whole_range(tmp_path: Path) -> None:
    ids = np.zeros((20, 30), np.uint16)
    ids[5:15, 5:15] = 1
    image = np.where(ids > 0, 3000, 1000).astype(np.uint16)
    pack = write_pack([_write(tmp_path / "deep", image, ids)], tmp_path / "pack")
    np.testing.assert_array_equal(pack.image(0)[..., 1], np.where(ids > 0, 255, 0))
    np.testing.assert_array_equal(pack.image(0)[..., 0], pack.image(0)[..., 2])


def test_ids_beyond_sixteen_bits_stay_apart(tmp_path: Path) -> None:
    ids = np.zeros((20, 30), np.int32)
    for number, label in enumerate((4, 65_535 + 4, 200_000)):
        ids[2:12, 2 + 9 * number : 9 + 9 * number] = label
    pack = write_pack([_write(tmp_path / "many", ids.astype(np.uint8), ids)], tmp_path / "pack")
    labels = pack.labels(0)
    assert sorted(item.box for item in pack.objects) == [
        (2, 2, 12, 9),
        (2, 11, 12, 18),
        (2, 20, 12, 27),
    ]
    for item in pack.objects:
        y0, x0, y1, x1 = item.box
        assert (labels[y0:y1, x0:x1] == item.label).all()
    assert (labels[ids == 0] == 0).all()


def test_specks_are_nothing_to_learn_from(tmp_path: Path) -> None:
    ids = np.zeros((20, 30), np.uint16)
    ids[2:6, 2:8] = 3  # 24 px
    ids[10, 2:25] = 5  # 23 px
    pack = write_pack([_write(tmp_path / "specks", ids.astype(np.uint8), ids)], tmp_path / "pack")
    assert [item.label for item in pack.objects] == [3]


def test_no_objects_at_all(tmp_path: Path) -> None:
    nothing = np.zeros((20, 30), np.uint16)
    folder = _write(tmp_path / "empty", nothing, nothing)
    with pytest.raises(DatasetError, match=r"found none in .*empty"):
        write_pack([folder], tmp_path / "pack")
    with pytest.raises(DatasetError, match="holds no packed data set"):
        Pack(tmp_path / "pack")


def test_no_data_sets(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="at least one data set"):
        write_pack([], tmp_path / "pack")


def test_a_pack_of_other_data_is_refused(make_dataset: MakeDataset, tmp_path: Path) -> None:
    folder = make_dataset("cells", [(40, 60)])
    pack = write_pack([folder], tmp_path / "pack")
    check_pack(pack, [str(folder)], tmp_path / "pack")
    check_pack(pack, [], tmp_path / "pack")
    with pytest.raises(DatasetError, match="hold cells, roofs, but it holds cells; delete"):
        check_pack(pack, [str(folder), "data/roofs"], tmp_path / "pack")


def test_a_half_written_index(make_dataset: MakeDataset, tmp_path: Path) -> None:
    write_pack([make_dataset("cells", [(40, 60)])], tmp_path / "pack")
    index = tmp_path / "pack" / "index.json"
    index.write_text(index.read_text()[:50])
    with pytest.raises(DatasetError, match="holds no packed data set"):
        Pack(tmp_path / "pack")
