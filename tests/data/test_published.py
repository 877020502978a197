"""Published data sets in their own layouts: what is read, and what is said when it is not there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from napari_edgeflow.data.annotations import Objects
from napari_edgeflow.data.coco_lvis import merge_objects
from napari_edgeflow.data.open import FORMATS, open_dataset
from napari_edgeflow.errors import DatasetError

from .published import (
    SHAPE,
    box_polygon,
    boxes,
    picture,
    runs,
    save,
    write_berkeley,
    write_coco,
    write_davis,
    write_grabcut,
    write_json,
    write_lvis,
    write_sbd,
    write_voc,
)


def test_grabcut_ignores_the_band_around_the_object(tmp_path: Path) -> None:
    dataset = open_dataset(f"grabcut:{write_grabcut(tmp_path)}")
    assert [sample.name for sample in dataset] == ["im0", "im1", "im2"]
    for sample in dataset:
        np.testing.assert_array_equal(sample.labels, boxes((1, 4, 4, 8, 10)))
        assert sample.ignore.sum() == 8 * 10 - 4 * 6
        assert sample.image.shape == (*SHAPE, 3)


def test_berkeley_reads_masks_of_three_channels(tmp_path: Path) -> None:
    (sample,) = open_dataset(f"berkeley:{write_berkeley(tmp_path)}")
    np.testing.assert_array_equal(sample.labels, boxes((1, 4, 4, 8, 10)))
    assert sample.ignore.sum() == 16


@pytest.mark.parametrize("name", ["davis", "coco_mval"])
def test_davis_and_coco_mval_take_all_instances_as_one(tmp_path: Path, name: str) -> None:
    (sample,) = open_dataset(f"{name}:{write_davis(tmp_path)}")
    np.testing.assert_array_equal(sample.labels, boxes((1, 1, 1, 4, 4), (1, 6, 8, 9, 14)))
    assert not sample.ignore.any()


@pytest.mark.parametrize("below", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_voc_indices_are_objects_and_255_is_ignored(tmp_path: Path, below: str) -> None:
    (sample,) = open_dataset(f"voc:{write_voc(tmp_path) / below}")
    assert sample.name == "2007_000033"
    np.testing.assert_array_equal(sample.labels, boxes((1, 2, 2, 8, 6), (2, 2, 8, 8, 14)))
    assert sample.ignore.sum() == 8 * 14 - 24 - 36


def test_voc_ignores_what_ritm_ignores(tmp_path: Path) -> None:
    """RITM turns the palette's colours to grey and ignores 220."""
    cv2 = pytest.importorskip("cv2")
    outline = np.array([[[192, 224, 224]]], np.uint8)  # BGR of the devkit's entry 255
    assert cv2.cvtColor(outline, cv2.COLOR_BGR2GRAY)[0, 0] == 220


def test_sbd_reads_matlab_structs(tmp_path: Path) -> None:
    (sample,) = open_dataset(f"sbd:{write_sbd(tmp_path)}")
    np.testing.assert_array_equal(sample.labels, boxes((1, 2, 2, 8, 6), (2, 2, 6, 8, 14)))
    assert not sample.ignore.any()


def test_coco_keeps_overlapping_objects_whole_and_ignores_crowds(tmp_path: Path) -> None:
    dataset = open_dataset(f"coco:{write_coco(tmp_path)}")
    (sample,) = dataset  # the image without objects is left out
    first, second = boxes((1, 2, 2, 8, 8)) > 0, boxes((1, 4, 6, 7, 12)) > 0
    assert sample.areas() == {1: 36, 2: 18}
    np.testing.assert_array_equal(sample.mask(1), first)
    np.testing.assert_array_equal(sample.mask(2), second)
    assert len(sample.above) == 1
    np.testing.assert_array_equal(sample.ignore, (boxes((1, 0, 0, 12, 4)) > 0) & ~first & ~second)


def test_lvis_finds_its_images_by_their_urls(tmp_path: Path) -> None:
    (sample,) = open_dataset(f"lvis:{write_lvis(tmp_path)}")
    assert sample.name == "000000000000"
    np.testing.assert_array_equal(sample.mask(1), boxes((1, 2, 2, 8, 9)) > 0)
    np.testing.assert_array_equal(sample.mask(2), boxes((1, 3, 3, 5, 5)) > 0)


def test_coco_and_lvis_are_merged_by_the_papers_rule(tmp_path: Path) -> None:
    # COCO's first box has 36 of the 42 pixels of LVIS' first one: an IoU of 0.857
    write_coco(tmp_path), write_lvis(tmp_path)
    (sample,) = open_dataset(f"coco_lvis@val:{tmp_path}")
    assert sample.areas() == {1: 42, 2: 4, 4: 18}
    np.testing.assert_array_equal(sample.mask(4), boxes((1, 4, 6, 7, 12)) > 0)
    assert sample.ignore.any()


@pytest.mark.parametrize(("shared", "is_kept"), [(8, True), (9, False)])
def test_a_coco_mask_goes_above_080_and_not_at_it(shared: int, is_kept: bool) -> None:
    lvis, coco = np.zeros((1, 10), dtype=bool), np.zeros((1, 10), dtype=bool)
    lvis[:], coco[0, :shared] = True, True  # an IoU of exactly 0.8, and of 0.9
    nothing = np.zeros_like(lvis)
    merged = merge_objects(Objects({1: lvis}, nothing), Objects({1: coco}, nothing), 5, 0.80)
    assert set(merged.masks) == ({1, 6} if is_kept else {1})


def test_masks_of_all_codings_are_the_same_objects(tmp_path: Path) -> None:
    packed = pytest.importorskip("pycocotools.mask")
    mask = boxes((1, 2, 2, 8, 8))
    text = packed.encode(np.asfortranarray(mask))["counts"].decode()
    segmentations = [box_polygon(2, 2, 8, 8), runs(mask), {"size": list(SHAPE), "counts": text}]
    save(tmp_path / "a.png", picture())
    image = {"id": 1, "file_name": "a.png", "height": SHAPE[0], "width": SHAPE[1]}
    rows = [{"id": i, "image_id": 1, "segmentation": s} for i, s in enumerate(segmentations)]
    (sample,) = open_dataset(write_json(tmp_path / "mine.json", [image], rows))
    for i in (1, 2, 3):
        np.testing.assert_array_equal(sample.mask(i), mask > 0)


def test_json_files_with_the_same_names_in_two_folders(tmp_path: Path) -> None:
    images = []
    for i, folder in enumerate("ab"):
        save(tmp_path / folder / "x.png", picture())
        images.append({"id": i, "file_name": f"{folder}/x.png", "height": 12, "width": 16})
    rows = [{"id": i, "image_id": i, "segmentation": box_polygon(1, 1, 9, 9)} for i in range(2)]
    dataset = open_dataset(write_json(tmp_path / "mine.json", images, rows))
    assert [sample.name for sample in dataset] == ["a_x", "b_x"]


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "folder"])
def test_what_is_not_there_says_where_to_get_it(tmp_path: Path, name: str) -> None:
    for path, state in ((tmp_path, "lacks"), (tmp_path / "nowhere", "is not a folder")):
        with pytest.raises(DatasetError, match=rf"{state}.*Get it from http.*unpack"):
            open_dataset(f"{name}:{path}")


@pytest.mark.parametrize(
    ("write", "spec", "lost", "message"),
    [
        (write_grabcut, "grabcut", "boundary_GT/im1.bmp", "boundary_GT/ has no mask of im1"),
        (write_grabcut, "grabcut", "data_GT/im0.jpg", "data_GT/ has no image of im0"),
        (write_voc, "voc", "VOCdevkit/VOC2012/JPEGImages/2007_000033.jpg", "JPEGImages/ lacks"),
        (write_voc, "voc", "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt", "there: train"),
        (write_sbd, "sbd", "benchmark_RELEASE/dataset/inst/2008_000002.mat", "inst/ lacks"),
        (write_coco, "coco", "val2017/000000000000.jpg", "1 of 1 are in none: 000000000000.jpg"),
    ],
)
def test_a_missing_file_is_named(
    tmp_path: Path, write: Callable[[Path], Path], spec: str, lost: str, message: str
) -> None:
    (write(tmp_path) / lost).unlink()
    with pytest.raises(DatasetError, match=message):
        open_dataset(f"{spec}:{tmp_path}")


def test_all_missing_files_are_in_one_message(tmp_path: Path) -> None:
    write_grabcut(tmp_path)
    (tmp_path / "boundary_GT/im1.bmp").unlink()
    (tmp_path / "data_GT/im0.jpg").unlink()
    with pytest.raises(
        DatasetError, match=r"2 problems(?s:.*)no mask of im1(?s:.*)no image of im0"
    ):
        open_dataset(f"grabcut:{tmp_path}")


def test_an_empty_mask_where_there_must_be_an_object(tmp_path: Path) -> None:
    write_grabcut(tmp_path)
    save(tmp_path / "boundary_GT/im0.png", boxes((128, 2, 2, 4, 4)))
    with pytest.raises(DatasetError, match=r"im0\.png: expected .* one object, got none.*0, 128"):
        open_dataset(f"grabcut:{tmp_path}")[0]


@pytest.mark.parametrize(
    ("write", "spec", "image"),
    [
        (write_grabcut, "grabcut", "data_GT/im0.jpg"),
        (write_voc, "voc", "VOCdevkit/VOC2012/JPEGImages/2007_000033.jpg"),
        (write_sbd, "sbd", "benchmark_RELEASE/dataset/img/2008_000002.jpg"),
        (write_coco, "coco", "val2017/000000000000.jpg"),
    ],
)
def test_images_of_another_size_than_their_masks(
    tmp_path: Path, write: Callable[[Path], Path], spec: str, image: str
) -> None:
    save(write(tmp_path) / image, picture(shape=(12, 15)))
    with pytest.raises(DatasetError, match=r"12 x 1[56].*12 x 1[56]"):
        open_dataset(f"{spec}:{tmp_path}")[0]


@pytest.mark.parametrize("content", [b"", b"no matlab", None])
def test_a_broken_matlab_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = write_sbd(tmp_path) / "benchmark_RELEASE/dataset/inst/2008_000002.mat"
    if content is None:
        savemat(path, {"other": 1})
    else:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"2008_000002\.mat: expected a MATLAB file"):
        open_dataset(f"sbd:{tmp_path}")[0]


def test_all_bad_annotations_are_named(tmp_path: Path) -> None:
    write_coco(tmp_path)
    path = tmp_path / "annotations/instances_val2017.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = [[1, 2, 3]]
    content["annotations"][1]["segmentation"] = {"size": [2, 2], "counts": [4]}
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError) as caught:
        open_dataset(f"coco:{tmp_path}")[0]
    assert "annotation 2000000000001: expected a polygon" in str(caught.value)
    assert "annotation 12: expected a run-length mask of size [12, 16]" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("images"), "expected a JSON file with 'images'"),
        (lambda c: c["images"][0].pop("height"), "image 0 lacks or garbles 'height'"),
        (lambda c: c["annotations"][1].pop("segmentation"), "annotation 1 lacks or garbles 'segm"),
        (lambda c: c["annotations"][1].update(image_id=99), "images that are not there: 99"),
        (lambda c: c["images"][1].update(id=7), "image id 7 is there twice"),
        (lambda c: c["annotations"].clear(), "expected annotated objects"),
    ],
)
def test_json_that_is_not_in_cocos_form(
    tmp_path: Path, change: Callable[[dict[str, object]], object], message: str
) -> None:
    write_coco(tmp_path)
    path = tmp_path / "annotations/instances_val2017.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=message):
        open_dataset(f"coco:{tmp_path}")


def test_a_damaged_json_file(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"images": [')
    with pytest.raises(DatasetError, match=r"x\.json: expected a JSON file"):
        open_dataset(tmp_path / "x.json")


def test_grey_pictures_are_read(tmp_path: Path) -> None:
    write_davis(tmp_path)
    Image.fromarray(picture()[..., 0]).save(tmp_path / "img/bear_00012.jpg")
    assert open_dataset(f"davis:{tmp_path}")[0].image.ndim == 2
