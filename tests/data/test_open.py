"""One way to open everything: by what lies there, or by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_edgeflow.data.check import CheckedReader, open_all
from napari_edgeflow.data.open import dataset_name, open_dataset, parse_spec, recognise
from napari_edgeflow.errors import DatasetError

from .published import (
    boxes,
    picture,
    save,
    write_coco,
    write_davis,
    write_grabcut,
    write_lvis,
    write_sbd,
    write_voc,
)


def write_folder(path: Path) -> Path:
    save(path / "images/a.jpg", picture())
    save(path / "masks/a.png", boxes((1, 1, 1, 9, 9)))
    return path


@pytest.mark.parametrize(
    ("write", "folder", "kind", "name"),
    [
        (write_folder, "cells", "folder", "cells"),
        (write_grabcut, "GrabCut", "grabcut", "grabcut"),
        (write_davis, "DAVIS", "davis", "davis"),
        (write_davis, "COCO_MVal", "coco_mval", "coco_mval"),
        (write_voc, "x", "voc", "voc_val"),
        (write_sbd, "x", "sbd", "sbd_val"),
        (write_coco, "x", "coco", "coco_val"),
        (write_lvis, "x", "lvis", "lvis_val"),
    ],
)
def test_a_path_is_opened_by_what_lies_there(
    tmp_path: Path, write: Callable[[Path], Path], folder: str, kind: str, name: str
) -> None:
    path = write(tmp_path / folder)
    assert recognise(path) == kind
    dataset = open_dataset(path)
    assert dataset.name == dataset_name(path) == name
    assert len(list(dataset)) == len(dataset) > 0
    assert open_dataset(f"{kind}:{path}", name="mine").name == "mine"


def test_the_split_is_the_callers_unless_the_spec_says_another(tmp_path: Path) -> None:
    write_voc(tmp_path)
    for spec, split, stem in (
        (f"{tmp_path}", "train", "2007_000042"),
        (f"voc:{tmp_path}", "val", "2007_000033"),
        (f"voc@train:{tmp_path}", "val", "2007_000042"),
    ):
        dataset = open_dataset(spec, split=split)
        assert dataset[0].name == stem
        assert dataset.name == dataset_name(spec, split=split)


def test_coco_and_lvis_in_one_folder_must_be_told_apart(tmp_path: Path) -> None:
    write_coco(tmp_path), write_lvis(tmp_path)
    with pytest.raises(DatasetError, match=r"coco:/.*lvis:/.*coco_lvis:/"):
        open_dataset(tmp_path)


def test_two_years_of_coco_must_be_told_apart(tmp_path: Path) -> None:
    write_coco(tmp_path)
    first = tmp_path / "annotations/instances_val2017.json"
    first.with_name("instances_val2014.json").write_bytes(first.read_bytes())
    with pytest.raises(DatasetError, match=r"instances_val2014\.json, instances_val2017\.json"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("davos:/data", "expected one of folder, grabcut.*got 'davos'"),
        ("davis@val:/data", "davis has no splits, got 'val'"),
        ("/nowhere", "a data set is a folder with images/ and masks/"),
    ],
)
def test_specs_that_mean_nothing(spec: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        open_dataset(spec)


def test_a_path_with_a_colon_that_is_there_is_a_path(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "davis:frames")
    assert parse_spec(path).format is None
    assert open_dataset(path).name == "davis:frames"
    assert parse_spec("C:\\data").format is None


def test_everything_that_cannot_be_opened_is_in_one_message(tmp_path: Path) -> None:
    specs = [tmp_path / "one", tmp_path / "two"]
    with pytest.raises(DatasetError, match=r"2 problems(?s:.*)one(?s:.*)two"):
        open_all([lambda spec=spec: open_dataset(spec) for spec in specs])  # type: ignore[misc]


def test_every_bad_file_is_in_one_message(tmp_path: Path) -> None:
    write_grabcut(tmp_path)
    save(tmp_path / "boundary_GT/im0.png", boxes())
    save(tmp_path / "data_GT/im2.bmp", picture(shape=(3, 4)))
    reader = CheckedReader()
    good = [index for index, _ in reader.read(open_dataset(tmp_path))]
    assert good == [1]
    with pytest.raises(DatasetError, match=r"2 problems(?s:.*)im0\.png(?s:.*)im2"):
        reader.finish()


def test_a_single_problem_is_a_single_line() -> None:
    reader = CheckedReader()
    reader.finish()
    reader.problems.append("a.png cannot be read")
    with pytest.raises(DatasetError, match=r"\Athe data sets have faults: a\.png cannot be read\Z"):
        reader.finish()


def test_ids_above_65534_are_ids_like_any_other(tmp_path: Path) -> None:
    import tifffile

    save(tmp_path / "images/a.png", picture())
    ids = boxes((70_000, 1, 1, 5, 5), (2_000_000_000, 6, 6, 9, 9), dtype="uint32")
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(tmp_path / "masks/a.tif", ids)
    sample = open_dataset(tmp_path)[0]
    assert sample.areas() == {70_000: 16, 2_000_000_000: 9}
    np.testing.assert_array_equal(sample.mask(70_000), ids == 70_000)
