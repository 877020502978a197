"""PASCAL VOC, YOLO and LabelMe, re-read by PIL, xml and small readers of their own."""

from __future__ import annotations

import base64
import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from matplotlib.path import Path as Outline
from PIL import Image
from tests.export.scenes import scene, scene_labels

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.annotation.classes import ClassList, ObjectClass
from napari_edgeflow.annotation.import_labelme import read_labelme
from napari_edgeflow.errors import AnnotationError, ExportError
from napari_edgeflow.export.labelme import write_labelme
from napari_edgeflow.export.palette import voc_palette
from napari_edgeflow.export.voc import write_voc
from napari_edgeflow.export.yolo import write_yolo

IDS = {3: 1, 7: 2, 12: 1, 900: 2}


def _inside(points: AnyArray, shape: tuple[int, int]) -> AnyArray:
    """Pixels whose centres lie in an outline of (x, y) with pixel edges on the integers."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    # a little aside, off bridges that pass a centre: on an outline the judge says in or out
    inside = Outline(points).contains_points(np.stack([x.ravel() + 0.0137, y.ravel()], axis=1))
    return np.asarray(inside).reshape(shape)


# -- PASCAL VOC ----------------------------------------------------------------------------


def test_voc_masks_and_boxes(tmp_path: Path) -> None:
    other = np.zeros((20, 30), np.uint32)
    other[2:5, 3:9] = 1
    notes = write_voc(tmp_path / "voc", [scene(), scene(other, "b.png")])
    labels, root = scene_labels(), tmp_path / "voc"
    with Image.open(root / "SegmentationClass" / "plate one.png") as judge:
        assert judge.mode == "P"
        classes, palette = np.asarray(judge), judge.getpalette()
    assert palette is not None
    assert list(zip(*[iter(palette)] * 3, strict=True)) == voc_palette()[: len(palette) // 3]
    with Image.open(root / "SegmentationObject" / "plate one.png") as judge:
        numbers = np.asarray(judge)
    for number, (label, class_id) in enumerate(IDS.items(), start=1):
        np.testing.assert_array_equal(numbers == number, labels == label)
        assert set(classes[labels == label]) == {class_id}
    assert not classes[labels == 0].any()
    assert (root / "ImageSets/Segmentation/all.txt").read_text() == "plate one\nb\n"
    assert (root / "labelmap.txt").read_text(encoding="utf-8").splitlines()[:3] == [
        "background:0,0,0::", "cell:128,0,0::", "débris & dust:0,128,0::"
    ]  # fmt: skip
    assert "object ids are replaced by 1, 2, 3… in each image" in notes


def test_voc_xml(tmp_path: Path) -> None:
    write_voc(tmp_path, [scene()])
    root = ET.parse(tmp_path / "Annotations" / "plate one.xml").getroot()
    assert [root.findtext(f"size/{n}") for n in ("width", "height", "depth")] == ["83", "61", "3"]
    assert root.findtext("filename") == "images/plate one.tif"
    found = root.findall("object")
    assert [item.findtext("name") for item in found] == [
        "cell", "débris & dust", "cell", "débris & dust"
    ]  # fmt: skip
    for item, label in zip(found, IDS, strict=True):
        rows, columns = np.nonzero(scene_labels() == label)
        box = [int(item.findtext(f"bndbox/{n}") or 0) for n in ("xmin", "ymin", "xmax", "ymax")]
        assert box == [columns.min() + 1, rows.min() + 1, columns.max() + 1, rows.max() + 1]


def test_voc_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    many = np.arange(1, 256, dtype=np.uint32).reshape(5, 51)
    with pytest.raises(ExportError, match=r"at most 254 objects .*got 255 in .*use COCO"):
        write_voc(tmp_path / "a", [scene(many)])
    classes = ClassList(tuple(ObjectClass(i, str(i), (0, 0, 0)) for i in range(1, 256)))
    with pytest.raises(ExportError, match=r"at most 254 classes .*got 255; use COCO"):
        write_voc(tmp_path / "a", [scene(classes=classes)])
    with pytest.raises(ExportError, match="different names, got 'plate one' twice"):
        write_voc(tmp_path / "a", [scene(), scene(name="plate one.png")])
    assert list(tmp_path.iterdir()) == []


# -- YOLO ----------------------------------------------------------------------------------


def test_yolo_lines(tmp_path: Path) -> None:
    notes = write_yolo(tmp_path, [scene()])
    labels, shape = scene_labels(), (61, 83)
    lines = (tmp_path / "labels" / "plate one.txt").read_text().splitlines()
    assert len(lines) == 4
    for line, (label, class_id) in zip(lines, IDS.items(), strict=True):
        number, *places = line.split()
        assert int(number) == class_id - 1
        points = np.array(places, dtype=float).reshape(-1, 2)
        assert points.min() >= 0
        assert points.max() <= 1
        expected = labels == label
        if label == 3:  # the island in its hole is filled too
            contours, _ = cv2.findContours(expected.astype(np.uint8), 0, 2)
            expected = cv2.fillPoly(np.zeros(shape, np.uint8), contours, 1) > 0
        np.testing.assert_array_equal(_inside(points * (83, 61), shape), expected)
    assert "holes of 1 object are filled" in notes
    assert "parts of 1 object are joined by bridges of no width" in notes
    assert (tmp_path / "data.yaml").read_text().splitlines()[3:] == [
        "names:", '  0: "cell"', '  1: "d\\u00e9bris & dust"', '  2: "unused"'
    ]  # fmt: skip


def test_yolo_joins_many_parts(tmp_path: Path) -> None:
    labels = np.zeros((40, 40), np.uint32)
    for y, x in ((2, 2), (20, 5), (30, 30), (5, 25)):
        labels[y : y + 5, x : x + 7] = 1
    write_yolo(tmp_path, [scene(labels, "a.png")])
    (line,) = (tmp_path / "labels" / "a.txt").read_text().splitlines()
    points = np.array(line.split()[1:], dtype=float).reshape(-1, 2) * 40
    np.testing.assert_array_equal(_inside(points, (40, 40)), labels > 0)


# -- LabelMe -------------------------------------------------------------------------------


def test_labelme_shapes(tmp_path: Path) -> None:
    notes = write_labelme(tmp_path / "a.json", scene())
    content = json.loads((tmp_path / "a.json").read_bytes())
    assert (content["imageHeight"], content["imageWidth"]) == (61, 83)
    assert content["imagePath"] == "images/plate one.tif"
    found = {label: np.zeros((61, 83), bool) for label in IDS}
    for shape in content["shapes"]:
        label = shape["group_id"]
        assert shape["label"] == ("cell", "débris & dust")[IDS[label] - 1]
        if shape["shape_type"] == "polygon":
            found[label] |= _inside(np.array(shape["points"]), (61, 83))
            continue
        (x0, y0), (x1, y1) = shape["points"]  # LabelMe's own reading of a mask
        with Image.open(io.BytesIO(base64.b64decode(shape["mask"]))) as picture:
            found[label][y0 : y1 + 1, x0 : x1 + 1] = np.asarray(picture)
    for label, mask in found.items():
        np.testing.assert_array_equal(mask, scene_labels() == label)
    assert [s["shape_type"] for s in content["shapes"]] == ["mask"] + ["polygon"] * 4
    assert notes == ("1 object with holes as masks: LabelMe 5.3 or later reads them",)


def test_labelme_there_and_back(tmp_path: Path) -> None:
    write_labelme(tmp_path / "a.json", scene())
    image = read_labelme(tmp_path / "a.json")
    assert (image.image.name, image.image.shape) == ("images/plate one.tif", (61, 83))
    assert [c.name for c in image.classes] == ["cell", "débris & dust"]
    for one, (label, class_id) in zip(image.objects, IDS.items(), strict=True):
        mask = np.zeros((61, 83), bool)
        mask[one.window.slices] = one.mask
        np.testing.assert_array_equal(mask, scene_labels() == label)
        assert (one.class_id, one.name) == (class_id, f"object {label}")


def _theirs(path: Path, **shape: Any) -> Path:
    item = {"label": "x", "points": [[2, 3], [6, 5]], "shape_type": "rectangle"} | shape
    content = {"imagePath": "a.png", "imageHeight": 20, "imageWidth": 30, "shapes": [item]}
    file = path / "theirs.json"
    file.write_text(json.dumps(content))
    return file


def test_labelme_s_other_shapes(tmp_path: Path) -> None:
    known = ClassList().add("y").add("x")
    (one,) = read_labelme(_theirs(tmp_path), known).objects
    assert (one.window, int(one.mask.sum())) == (Window(3, 2, 5, 6), 8)
    assert one.class_id == 2
    circle = read_labelme(_theirs(tmp_path, shape_type="circle", points=[[10, 10], [10, 15]]))
    assert circle.objects[0].mask.sum() == pytest.approx(np.pi * 25, rel=0.05)
    line = read_labelme(_theirs(tmp_path, shape_type="line"))
    assert (line.objects, line.notes) == ((), ("1 line(s) left out: no pixels",))
    outside = read_labelme(_theirs(tmp_path, points=[[-5, -5], [4, 2]]))
    assert outside.objects[0].mask.sum() == 8


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"points": [[1, 2]], "shape_type": "polygon"}, "shape 1: ValueError: .*three points"),
        ({"points": [1, 2]}, "shape 1: .*pairs of finite x and y"),
        ({"points": [[1, float("nan")]]}, "pairs of finite"),
        ({"shape_type": "mask"}, "shape 1: KeyError: 'mask'"),
        ({"shape_type": "mask", "mask": "AAAA"}, "shape 1: UnidentifiedImageError"),
    ],
)
def test_labelme_files_that_are_broken(tmp_path: Path, shape: dict[str, Any], message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_labelme(_theirs(tmp_path, **shape))
    (tmp_path / "b.json").write_text("[]")
    with pytest.raises(AnnotationError, match="expected LabelMe's JSON"):
        read_labelme(tmp_path / "b.json")
