"""Formats of outlines: little of an object is in memory at a time, and nothing of it is lost."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.path import Path as Way
from PIL import Image

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.annotation.objects import AnnotationSet, Labels
from napari_edgeflow.errors import Cancelled, ExportError
from napari_edgeflow.export.formats import FORMATS, export
from napari_edgeflow.export.outlines import find_outlines, label_strips
from napari_edgeflow.export.palette import bit_png

from .scenes import PLACE, scene, scene_labels

OUTLINES = ("coco", "labelme", "yolo", "imagej_roi", "qupath", "geopackage", "geojson", "shapefile")


class _Counted:
    """Labels that note the largest window read."""

    def __init__(self, annotated: AnnotationSet) -> None:
        self._labels, self.shape = annotated.labels, annotated.labels.shape
        self.largest = 0

    def read(self, window: Window) -> Labels:
        self.largest = max(self.largest, window.height * window.width)
        return self._labels.read(window)


def _contents(path: Path) -> dict[str, bytes]:
    files = path.rglob("*") if path.is_dir() else [path]
    return {str(file.relative_to(path)): file.read_bytes() for file in files if file.is_file()}


@pytest.mark.parametrize("name", OUTLINES)
def test_objects_are_read_in_strips_and_come_out_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    annotated = scene(scene_labels((190, 210)), place=PLACE)
    suffix = FORMATS[name].suffix
    one, two = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    export(name, one, [annotated])
    monkeypatch.setattr("napari_edgeflow.export.outlines._AT_ONCE_PX", 1)
    monkeypatch.setattr("napari_edgeflow.export.outlines._READ_PX", 400)
    counted = _Counted(annotated)
    export(name, two, [replace(annotated, labels=counted)])
    assert 0 < counted.largest <= 400
    if name in ("geopackage", "shapefile"):  # a time of writing and a name are in the file
        pyogrio = pytest.importorskip("pyogrio")
        for a, b in zip(pyogrio.raw.read(one)[2], pyogrio.raw.read(two)[2], strict=True):
            assert a == b
    else:
        assert _contents(one) == _contents(two)


def test_strips_end_with_the_chunks_of_label_stores() -> None:
    class Reader:
        shape = (3000, 40_000)

        def read(self, window: Window) -> Any:
            return np.broadcast_to(np.uint32(window.y0), window.shape)

    def tops(window: Window) -> list[tuple[int, int]]:
        return [(int(s[0, 0]), len(s)) for s in label_strips(Reader(), window)]

    assert tops(Window(100, 0, 1100, 16_384)) == [(100, 412), (512, 512), (1024, 76)]
    assert tops(Window(100, 7, 700, 1607)) == [(100, 600)]  # small: at once
    assert [rows for _, rows in tops(Window(0, 0, 300, 40_000))] == [128, 128, 44]


def test_tracing_a_large_object_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_edgeflow.export.run import ExportRun

    monkeypatch.setattr("napari_edgeflow.export.outlines._AT_ONCE_PX", 1)
    monkeypatch.setattr("napari_edgeflow.export.outlines._READ_PX", 60)
    annotated = scene()
    counted, asked = _Counted(annotated), iter([False] * 4 + [True] * 100)
    with pytest.raises(Cancelled):
        find_outlines(
            replace(annotated, labels=counted), ExportRun(should_stop=lambda: next(asked))
        )


@pytest.mark.parametrize("width", [1, 8, 13])
def test_masks_of_one_bit(width: int) -> None:
    mask = np.random.default_rng(width).random((21, width)) < 0.4
    picture = Image.open(io.BytesIO(bit_png([mask[:4], mask[4:5], mask[5:]], (21, width))))
    assert picture.mode == "1"
    np.testing.assert_array_equal(np.asarray(picture), mask)


def test_labelme_masks_are_the_objects(tmp_path: Path) -> None:
    labels = scene_labels()
    export("labelme", tmp_path / "a.json", [scene(labels)])
    shapes = json.loads((tmp_path / "a.json").read_text("utf-8"))["shapes"]
    (ring,) = [shape for shape in shapes if shape["shape_type"] == "mask"]
    (x0, y0), (x1, y1) = ring["points"]
    picture = Image.open(io.BytesIO(base64.b64decode(ring["mask"])))
    window = labels[y0 : y1 + 1, x0 : x1 + 1]
    np.testing.assert_array_equal(np.asarray(picture), window == ring["group_id"])


def test_an_object_of_many_parts_is_one_line_of_yolo(tmp_path: Path) -> None:
    """Specks beside a large part, some nearest to the same corner; the rest is background."""
    rng = np.random.default_rng(3)
    labels = np.zeros((120, 150), np.uint32)
    labels[30:90, 40:100] = rng.random((60, 60)) < 0.9
    labels[:, 104:] = rng.random((120, 46)) < 0.05
    labels[2:20:3, 5:60:4] = 1
    export("yolo", tmp_path / "out", [scene(labels, "a.tif")])
    (line,) = (tmp_path / "out" / "labels" / "a.txt").read_text().splitlines()
    ring = np.array(line.split()[1:], float).reshape(-1, 2) * (150, 120)
    y, x = np.mgrid[:120, :150] + 0.5 + 0.0123  # not on a bridge, which is both in and out
    inside = Way(ring).contains_points(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(120, 150)
    assert (inside >= (labels > 0)).all()
    outer: AnyArray = np.zeros(labels.shape, bool)
    for outline in find_outlines(scene(labels)):
        for part in outline.exteriors_xy:
            way = Way(part).contains_points(np.stack([x.ravel(), y.ravel()], axis=1))
            outer |= way.reshape(labels.shape)
    np.testing.assert_array_equal(inside, outer)


def test_names_of_images_that_no_file_can_have(tmp_path: Path) -> None:
    names = ["é" * 200 + ".tif", "..", "a\\b\nc.tif", "[1] plate: 3?.tif", ".hidden.tif"]
    sets = [scene(name=name) for name in names]
    for one_format in ("label_tiff", "qupath", "ome_zarr"):
        report = export(one_format, tmp_path / one_format, sets)
        made = [path.name.removesuffix(FORMATS[one_format].suffix) for path in report.paths]
        assert made == ["é" * 75, "image", "a_b_c", "[1] plate: 3?", "hidden"]
        assert all(path.exists() for path in report.paths)
    export("yolo", tmp_path / "yolo", sets)
    files = sorted(path.name for path in (tmp_path / "yolo" / "labels").iterdir())
    assert "[1] plate: 3?.txt" in files  # found beside an image of that name


def test_names_that_differ_in_case_alone_where_files_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = [scene(name="a.tif"), scene(name="A.tif")]
    export("label_tiff", tmp_path, sets)
    monkeypatch.setattr("napari_edgeflow.export.folders.sys.platform", "darwin")
    with pytest.raises(ExportError, match="different names"):
        export("label_tiff", tmp_path, sets)


@pytest.mark.parametrize("name", ["label_tiff", "coco", "geopackage", "ome_zarr"])
@pytest.mark.parametrize("stem", ["x" * 300, "a\0b"])
def test_a_file_name_that_is_none_is_said_in_words(tmp_path: Path, name: str, stem: str) -> None:
    with pytest.raises(ExportError, match="a name that files can have"):
        export(name, tmp_path / f"{stem}{FORMATS[name].suffix}", [scene(place=PLACE)])
    assert not list(tmp_path.iterdir())
