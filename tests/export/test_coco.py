"""COCO files judged by pycocotools."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.export.scenes import scene, scene_labels

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.import_coco import decode_in_box, read_coco
from napari_edgeflow.annotation.objects import (
    AnnotationSet,
    ImageInfo,
    ObjectRecord,
    tight_box,
)
from napari_edgeflow.data.rle import unpack_counts
from napari_edgeflow.errors import AnnotationError, ExportError
from napari_edgeflow.export.coco import write_coco
from napari_edgeflow.export.rle import pack_counts, polygons_to_counts
from napari_edgeflow.export.run import ExportRun
from napari_edgeflow.vector.polygons import mask_to_polygons

# pycocotools 2.0 says this of itself under NumPy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def _judge(path: Path) -> Any:
    coco = pytest.importorskip("pycocotools.coco")
    with contextlib.redirect_stdout(io.StringIO()):
        return coco.COCO(str(path))


def test_two_images_in_one_file(tmp_path: Path) -> None:
    other = np.zeros((40, 30), np.uint32)
    other[10:20, 5:25] = 2
    path = tmp_path / "a.json"
    notes = write_coco(path, [scene(), scene(other, "b.png")])
    assert notes == ("1 object with holes as run lengths, which polygon editors do not show",)
    judge = _judge(path)
    assert [judge.imgs[i]["file_name"] for i in (1, 2)] == ["images/plate one.tif", "b.png"]
    assert [(judge.imgs[i]["height"], judge.imgs[i]["width"]) for i in (1, 2)] == [(61, 83), (40, 30)]  # fmt: skip  # noqa: E501
    assert [c["name"] for c in judge.cats.values()] == ["cell", "débris & dust", "unused"]
    for image_id, labels in ((1, scene_labels()), (2, other)):
        found = judge.imgToAnns[image_id]
        assert len(found) == len(np.unique(labels)) - 1
        for one in found:
            _compare(judge, one, labels == one["attributes"]["object_id"])
    assert [one["category_id"] for one in judge.imgToAnns[1]] == [1, 2, 1, 2]
    assert sorted(judge.anns) == [1, 2, 3, 4, 5]


def _compare(judge: Any, one: dict[str, Any], mask: AnyArray) -> None:
    np.testing.assert_array_equal(judge.annToMask(one), mask)
    rows, columns = np.nonzero(mask)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert one["bbox"] == [columns.min(), rows.min(), width, height]
    assert (one["area"], one["iscrowd"]) == (mask.sum(), 0)


def test_holes_as_run_lengths_and_all_else_as_polygons(tmp_path: Path) -> None:
    write_coco(tmp_path / "a.json", [scene()])
    content = json.loads((tmp_path / "a.json").read_bytes())
    by_id = {a["attributes"]["object_id"]: a["segmentation"] for a in content["annotations"]}
    assert by_id[3]["size"] == [61, 83]
    assert [len(by_id[i]) for i in (7, 12, 900)] == [1, 1, 2]
    assert by_id[12] == [[74.0, 54.0, 83.0, 54.0, 83.0, 61.0, 74.0, 61.0]]


random_labels = hnp.arrays(
    np.uint32, st.tuples(st.integers(1, 13), st.integers(1, 13)), elements=st.integers(0, 3)
)


@given(random_labels)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_labels_there_and_back(tmp_path: Path, labels: AnyArray) -> None:
    write_coco(tmp_path / "a.json", [scene(labels, "x.png")])
    judge = _judge(tmp_path / "a.json")
    for one in judge.anns.values():
        _compare(judge, one, labels == one["attributes"]["object_id"])
    (image,) = read_coco(tmp_path / "a.json")
    ids = [i for i in np.unique(labels) if i]
    assert len(image.objects) == len(ids)
    for one, label in zip(image.objects, ids, strict=True):
        assert one.window == tight_box(labels == label, Window(0, 0, *labels.shape))
        np.testing.assert_array_equal(one.mask, (labels == label)[one.window.slices])


@given(random_labels, st.integers(0, 4), st.integers(0, 4), st.integers(0, 4), st.integers(0, 4))
@settings(max_examples=80, deadline=None)
def test_run_lengths_of_a_box(
    labels: AnyArray, above: int, left: int, below: int, right: int
) -> None:
    packed = pytest.importorskip("pycocotools.mask")
    mask = np.pad(labels > 1, ((above, below), (left, right)))
    window = Window(above, left, above + labels.shape[0], left + labels.shape[1])
    whole = Window(50, 70, 50 + mask.shape[0], 70 + mask.shape[1])
    moved = mask_to_polygons(
        labels > 1, Window(window.y0 + 50, window.x0 + 70, window.y1 + 50, window.x1 + 70)
    )
    counts = polygons_to_counts(moved, whole, mask.shape)
    theirs = packed.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert pack_counts(counts) == theirs["counts"].decode()
    assert unpack_counts(pack_counts(counts)) == counts
    found, part = decode_in_box({"size": list(mask.shape), "counts": counts}, mask.shape)
    back = np.zeros_like(mask)
    if found is not None:
        back[found.slices] = part
    np.testing.assert_array_equal(back, mask)


def test_large_counts_are_packed_as_pycocotools_does() -> None:
    packed = pytest.importorskip("pycocotools.mask")
    counts = [100_000, 5, 3, 70_000, 2, 1, 29_989]
    theirs = packed.frPyObjects({"size": [400, 500], "counts": counts}, 400, 500)
    assert pack_counts(counts) == theirs["counts"].decode()


def test_polygons_of_others_are_filled_by_coco_s_rule() -> None:
    packed = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(5)
    for _ in range(50):
        polygons = [rng.uniform(-5, 45, 2 * rng.integers(3, 8)).tolist() for _ in range(2)]
        theirs = packed.decode(packed.merge(packed.frPyObjects(polygons, 30, 40))).astype(bool)
        window, mask = decode_in_box(polygons, (30, 40))
        ours = np.zeros((30, 40), bool)
        if window is not None:
            ours[window.slices] = mask
        np.testing.assert_array_equal(ours, theirs)


class Sparse:
    """Labels of a raster far larger than memory: some boxes of ids."""

    def __init__(self, shape: tuple[int, int], boxes: dict[int, Window]) -> None:
        self.shape, self.boxes = shape, boxes

    def read(self, window: Window) -> AnyArray:
        part = np.zeros(window.shape, np.uint32)
        for label, box in self.boxes.items():
            common = box.intersect(window)
            if common is not None:
                part[common.relative_to(window).slices] = label
        return part


def test_images_that_coco_s_tools_count_wrongly_are_cut_into_parts(tmp_path: Path) -> None:
    boxes = {
        5: Window(16_380, 32_760, 16_390, 32_775),  # over a corner of four parts
        9: Window(65_530, 65_536, 65_537, 65_537),  # the last row and column
    }
    shape = (65_537, 65_537)
    records = [ObjectRecord(i, 1, box, box.height * box.width) for i, box in boxes.items()]
    image = ImageInfo("scans/slide.tif", shape)
    huge = AnnotationSet(image, scene().classes, tuple(records), Sparse(shape, boxes))
    (note,) = write_coco(tmp_path / "a.json", [huge])
    assert "slide.tif is 25 images of at most 16384 × 16384 px" in note
    judge = _judge(tmp_path / "a.json")
    whole = dict.fromkeys(boxes, 0.0)
    for one in judge.anns.values():
        part = judge.imgs[one["image_id"]]
        assert part["file_name"] == f"scans/slide_y{part['y_offset']}_x{part['x_offset']}.tif"
        assert part["part_of"] == "scans/slide.tif"
        # pycocotools' own area of the annotation, and its box at its place in the whole image
        packed = judge.annToRLE(one)
        assert pytest.importorskip("pycocotools.mask").area(packed) == one["area"]
        x, y, width, height = one["bbox"]
        y0, x0 = part["y_offset"] + int(y), part["x_offset"] + int(x)
        box = boxes[one["attributes"]["object_id"]]
        assert Window(y0, x0, y0 + int(height), x0 + int(width)).intersect(box) is not None
        whole[one["attributes"]["object_id"]] += one["area"]
    assert whole == {label: box.height * box.width for label, box in boxes.items()}
    assert len(judge.anns) == 4 + 2  # a corner is in four parts, an edge in two
    assert sum(i["height"] * i["width"] for i in judge.imgs.values()) == 65_537**2
    assert all(i["height"] * i["width"] < 2**32 for i in judge.imgs.values())


def test_parts_on_request_add_up_to_the_whole(tmp_path: Path) -> None:
    options = {"part": 20.0}
    write_coco(tmp_path / "a.json", [scene(), scene(name="b.tif")], ExportRun(options))
    judge = _judge(tmp_path / "a.json")
    assert len(judge.imgs) == 2 * 4 * 5
    for name in ("images/plate one.tif", "b.tif"):
        found = np.zeros((61, 83), np.uint32)
        for part in judge.imgs.values():
            if part["part_of"] != name:
                continue
            y, x = part["y_offset"], part["x_offset"]
            inside = found[y : y + part["height"], x : x + part["width"]]
            for one in judge.imgToAnns[part["id"]]:
                mask = judge.annToMask(one).astype(bool)
                _compare(judge, one, mask)
                inside[mask] = one["attributes"]["object_id"]
        np.testing.assert_array_equal(found, scene_labels())
    with pytest.raises(ValueError, match="parts of at most 65535 px a side, got 70000"):
        write_coco(tmp_path / "b.json", [scene()], ExportRun({"part": 70_000.0}))
    assert not (tmp_path / "b.json").exists()


def test_one_name_for_each_class(tmp_path: Path) -> None:
    other = scene(classes=ClassList().add("roof").add("road"))
    with pytest.raises(ExportError, match="one name for class 1 in all images, got 'cell' and"):
        write_coco(tmp_path / "a.json", [scene(), other])


def test_an_image_without_objects_is_listed(tmp_path: Path) -> None:
    write_coco(tmp_path / "a.json", [scene(np.zeros((5, 6), np.uint32))])
    judge = _judge(tmp_path / "a.json")
    assert (len(judge.imgs), len(judge.anns)) == (1, 0)


def _file(path: Path, **changes: Any) -> Path:
    content = {
        "images": [{"id": 5, "file_name": "a.png", "height": 10, "width": 12}],
        "categories": [{"id": 0, "name": "zero"}, {"id": 4, "name": "four"}],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 0, "segmentation": [[1, 1, 5, 1, 5, 4, 1, 4]]},
            {"id": 2, "image_id": 5, "category_id": 4, "iscrowd": 1, "segmentation": {}},
            {"id": 3, "image_id": 5, "category_id": 4, "segmentation": [[50, 50, 60, 50, 60, 60]]},
        ],
    }
    file = path / "theirs.json"
    file.write_text(json.dumps(content | changes))
    return file


def test_files_of_others(tmp_path: Path) -> None:
    (image,) = read_coco(_file(tmp_path))
    (one,) = image.objects
    assert (one.window, int(one.mask.sum()), one.class_id) == (Window(1, 1, 4, 5), 12, 5)
    assert [(c.id, c.name) for c in image.classes] == [(5, "zero"), (4, "four")]
    assert image.notes == (
        "1 crowd region(s) left out", "1 annotation(s) without a pixel left out"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": 3}, "expected COCO's JSON with images, annotations and categories"),
        ({"categories": [{"id": 1}]}, "KeyError: 'name'"),
        ({"images": [{"id": 5}]}, "an image lacks or garbles 'file_name'"),
        ({"annotations": [{"image_id": 9}]}, "annotation 1: expected the id of an image"),
        ({"annotations": [{"id": 8, "image_id": 5, "category_id": 7, "segmentation": []}]},
         "annotation 8 of a.png: KeyError: 7"),
        ({"annotations": [{"id": 8, "image_id": 5, "category_id": 4, "segmentation": [[1, 2]]}]},
         "annotation 8 of a.png: ValueError: expected polygons of at least three"),
        ({"annotations": [{"id": 8, "image_id": 5, "category_id": 4,
                           "segmentation": {"size": [10, 12], "counts": [3]}}]},
         "expected run lengths of 120 px, got 3"),
        ({"annotations": [{"id": 8, "image_id": 5, "category_id": 4,
                           "segmentation": {"size": [12, 10], "counts": [120]}}]},
         r"run lengths of size \[10, 12\], got size \[12, 10\]"),
    ],
)  # fmt: skip
def test_files_that_are_not_coco_s(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_coco(_file(tmp_path, **changes))
    with pytest.raises(AnnotationError):
        read_coco(tmp_path / "missing.json")
