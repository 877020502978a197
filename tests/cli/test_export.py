"""``export`` of label images and projects; the files are read by other libraries."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
import rasterio.features
import shapely
import tifffile
import zarr
from PIL import Image
from typer.testing import CliRunner, Result

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.classes import ClassList, write_classes
from napari_edgeflow.annotation.commands import NewObject, commit_object
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.objects import ImageInfo, PlaneIndex
from napari_edgeflow.annotation.store import ArrayStore
from napari_edgeflow.cli import app
from napari_edgeflow.cli.export import parse_options
from napari_edgeflow.export.formats import FORMATS

UTM = (0.5, 0.0, 733601.25, 0.0, -0.5, 3725139.75)
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def _labels() -> AnyArray:
    labels = np.zeros((60, 80), np.uint16)
    labels[5:25, 10:40] = 3
    labels[10:12, 20:24] = 0
    labels[40:55, 60:80] = 700
    return labels


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    path = tmp_path / "mask.tif"
    tifffile.imwrite(path, _labels())
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=2, height=60, width=80, dtype="uint16",
        crs="EPSG:32616", transform=rasterio.Affine(*UTM),
    ) as dataset:  # fmt: skip
        dataset.write(np.stack([_labels() + 5, np.full((60, 80), 9)]).astype(np.uint16))
    return path


def _coco(path: Path) -> tuple[dict[str, Any], AnyArray]:
    """The file's content, and the ids of its objects, painted by pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        judge = pytest.importorskip("pycocotools.coco").COCO(str(path))
    (entry,) = judge.dataset["images"]
    painted = np.zeros((entry["height"], entry["width"]), int)
    for one in judge.anns.values():
        painted[judge.annToMask(one) > 0] = one["attributes"]["object_id"]
    return judge.dataset, painted


def test_a_label_image_becomes_coco(tmp_path: Path, mask: Path) -> None:
    out = tmp_path / "a.json"
    result = _run(mask, "--format", "coco", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"2 objects · COCO (JSON) · {out}\n"
    assert result.stderr.startswith("Note: 1 object with holes as run lengths")
    content, painted = _coco(out)
    np.testing.assert_array_equal(painted, _labels())
    assert content["images"][0]["file_name"] == "mask.tif"
    assert [c["name"] for c in content["categories"]] == ["object"]


def test_labels_as_png_and_zarr(tmp_path: Path) -> None:
    Image.fromarray(_labels()).save(tmp_path / "mask.png")
    palette = Image.fromarray((_labels() > 0).astype(np.uint8) * 3, "P")
    palette.putpalette([7] * 768)  # all of one colour: the indices count
    palette.save(tmp_path / "palette.png")
    array = zarr.open_array(str(tmp_path / "mask.zarr"), mode="w", shape=(60, 80), dtype="uint32")
    array[:] = _labels()
    for name, expected in (
        ("mask.png", _labels()), ("palette.png", (_labels() > 0) * 3), ("mask.zarr", _labels())
    ):  # fmt: skip
        result = _run(tmp_path / name, "--format", "coco", "--out", tmp_path / "a.json")
        assert result.exit_code == 0, result.stderr
        np.testing.assert_array_equal(_coco(tmp_path / "a.json")[1], expected)


def test_objects_at_their_place_on_the_map(tmp_path: Path, mask: Path, image: Path) -> None:
    out = tmp_path / "a.gpkg"
    result = _run(mask, "--image", image, "--format", "geopackage", "--out", out)
    assert result.exit_code == 0, result.stderr
    meta, _, geometry, columns = pyogrio.raw.read(out)
    burnt = rasterio.features.rasterize(
        zip(shapely.from_wkb(geometry), columns[0].tolist(), strict=True), (60, 80),
        transform=rasterio.Affine(*UTM), dtype=np.int32,
    )  # fmt: skip
    np.testing.assert_array_equal(burnt, _labels())
    assert rasterio.CRS.from_user_input(meta["crs"]) == rasterio.CRS.from_epsg(32616)
    simple = tmp_path / "b.gpkg"
    arguments = ["--image", image, "--format", "geopackage", "--tolerance", "3"]
    assert _run(mask, *arguments, "--out", simple).exit_code == 0
    coarse = shapely.from_wkb(pyogrio.raw.read(simple)[2])
    exact = shapely.get_num_coordinates(shapely.from_wkb(geometry)).sum()
    assert shapely.get_num_coordinates(coarse).sum() < exact
    refused = _run(mask, "--format", "geopackage", "--out", tmp_path / "c.gpkg")
    assert refused.exit_code == 2
    assert "mask.tif has none" in refused.stderr


def test_measurements_take_the_image_s_values(tmp_path: Path, mask: Path, image: Path) -> None:
    out = tmp_path / "a.csv"
    assert _run(mask, "--image", image, "--format", "measurements", "--out", out).exit_code == 0
    with out.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["band_1_mean"]) for row in rows] == [8, 705]
    assert [float(row["band_2_max"]) for row in rows] == [9, 9]
    assert [float(row["area_m2"]) for row in rows] == [592 / 4, 300 / 4]
    assert {row["image"] for row in rows} == {"image.tif"}
    assert _run(mask, "--format", "measurements", "--out", out).exit_code == 0
    assert "band_1_mean" not in out.read_text("utf-8-sig")


def test_values_that_are_classes(tmp_path: Path, mask: Path) -> None:
    classes = ClassList().add("roof").add("road")
    values = np.zeros((30, 40), np.uint8)
    values[2:6, 2:6] = values[2:6, 10:14] = 1
    values[20:22, 3:30] = 2
    tifffile.imwrite(tmp_path / "values.tif", values)
    write_classes(tmp_path / "classes.txt", classes)
    out = tmp_path / "a.json"
    arguments = ["--format", "coco", "--out", out, "--class-list", tmp_path / "classes.txt"]
    assert _run(tmp_path / "values.tif", *arguments, "--values", "classes").exit_code == 0
    content, painted = _coco(out)
    assert [one["category_id"] for one in content["annotations"]] == [1, 1, 2]
    np.testing.assert_array_equal(painted > 0, values > 0)
    assert [c["name"] for c in content["categories"]] == ["roof", "road"]
    assert _run(mask, *arguments).exit_code == 0
    assert {one["category_id"] for one in _coco(out)[0]["annotations"]} == {1}
    assert "objects or classes, got 'x'" in _run(mask, *arguments, "--values", "x").stderr


# -- projects ------------------------------------------------------------------------------


def _project(path: Path, image: ImageInfo, planes: tuple[PlaneIndex, ...]) -> None:
    """An object of class 2 in each plane, one object more that was taken back."""
    shape = image.shape if planes == ((),) else (4, *image.shape)
    store = ArrayStore(np.zeros(shape, np.uint32))
    classes = ClassList().add("cell").add("débris")
    with Journal.open(path) as journal:
        history = History.begin(journal, image, store, State(classes), planes)
        for number, plane in enumerate((*planes, planes[0])):
            box = Window(3 + number, 4, 13 + number, 30)
            about = NewObject(class_id=2, plane=plane)
            mask = np.ones(box.shape, bool)
            history.do(commit_object(history.state, store, box, mask, about))
        history.undo()


def test_a_project_with_its_classes(tmp_path: Path, image: Path) -> None:
    path, out = tmp_path / "cells.edgeflow", tmp_path / "a.json"
    _project(path, ImageInfo("image.tif", (60, 80), path=image), ((),))
    before = path.read_bytes()
    result = _run(path, "--format", "coco", "--out", out)
    assert result.exit_code == 0, result.stderr
    content, painted = _coco(out)
    expected = np.zeros((60, 80), int)
    expected[3:13, 4:30] = 1
    np.testing.assert_array_equal(painted, expected)
    (one,) = content["annotations"]
    assert {c["id"]: c["name"] for c in content["categories"]}[one["category_id"]] == "débris"
    assert path.read_bytes() == before
    # its own image gives the place on the map
    assert _run(path, "--format", "geopackage", "--out", tmp_path / "a.gpkg").exit_code == 0
    assert pyogrio.read_info(tmp_path / "a.gpkg")["features"] == 1
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {"cells.edgeflow", "image.tif", "a.json", "a.gpkg", "a.qml"}


def test_a_project_that_is_open_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "cells.edgeflow"
    _project(path, ImageInfo("image.tif", (60, 80)), ((),))
    with Journal.open(path):
        result = _run(path, "--format", "label_tiff", "--out", tmp_path / "a.tif")
    assert result.exit_code == 0, result.stderr
    assert tifffile.imread(tmp_path / "a.tif").sum() == 260


def test_planes_of_a_project(tmp_path: Path) -> None:
    path, out = tmp_path / "stack.edgeflow", tmp_path / "out"
    planes: tuple[PlaneIndex, ...] = ((1, None, None), (3, None, None))
    _project(path, ImageInfo("stack.tif", (60, 80)), planes)
    assert _run(path, "--format", "label_tiff", "--out", out).exit_code == 0
    assert sorted(p.name for p in out.iterdir()) == ["stack_0001.tif", "stack_0003.tif"]
    assert tifffile.imread(out / "stack_0003.tif")[4:14, 4:30].all()
    table = tmp_path / "a.csv"
    assert _run(path, "--format", "measurements", "--out", table).exit_code == 0
    with table.open(encoding="utf-8-sig", newline="") as file:
        assert [row["z"] for row in csv.DictReader(file)] == ["1", "3"]
    refused = _run(path, "--format", "label_tiff", "--out", tmp_path / "a.tif")
    assert "expected a folder for 2 images" in refused.stderr


# -- what goes wrong -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "bmp", "--out", "a.bmp"], "expected a format (label_tiff, "),
        (["--format", "coco"], "expected --out with a file or folder"),
        (["--format", "coco", "--out", "a.txt"], "a file ending in .json, got 'a.txt'"),
        (["--format", "coco", "--out", "no/a.json"], "make it first"),
        (["--format", "coco", "--out", "a.json", "--tolerance", "1"], "has part, got 'tolerance'"),
        (["--format", "qupath", "--out", "a.geojson", "--tolerance", "-1"], "a number ≥ 0"),
        (["--format", "labelme", "--out", "a.json", "--option", "version=4"], "one of 5.3, 5.0"),
        (["--format", "labelme", "--out", "a.json", "--option", "version"], "NAME=VALUE"),
        (["--format", "cutout", "--out", "a.png"], "expected the image mask.tif for a cut-out"),
        (["--format", "coco", "--out", "a.json", "--image", "small.tif"], "image of the labels"),
        (["--format", "coco", "--out", "a.json", "--image", "none.tif"], "cannot be opened"),
        (["--format", "coco", "--out", "a.json", "--class-list", "none.txt"], "none.txt"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_plain_line(
    tmp_path: Path, mask: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("small.tif", np.ones((5, 6), np.uint8))
    before = sorted(tmp_path.iterdir())
    result = _run("mask.tif", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "message"),
    [("missing.tif", "missing.tif is not there"), ("float.tif", "one band of whole numbers"),
     ("rgb.png", "a PNG of one channel"), ("minus.tif", "expected ids from 0"),
     ("empty.edgeflow", "holds no annotations yet"), ("bare.edgeflow", "holds no objects"),
     ("text.edgeflow", "text.edgeflow")],
)  # fmt: skip
def test_labels_that_are_none(tmp_path: Path, name: str, message: str) -> None:
    tifffile.imwrite(tmp_path / "float.tif", np.ones((5, 6), np.float32))
    tifffile.imwrite(tmp_path / "minus.tif", np.full((5, 6), -1, np.int16))
    Image.fromarray(np.zeros((5, 6, 3), np.uint8)).save(tmp_path / "rgb.png")
    Journal.open(tmp_path / "empty.edgeflow").close()
    with Journal.open(tmp_path / "bare.edgeflow") as journal:
        History.begin(journal, ImageInfo("a", (5, 6)), ArrayStore.empty((5, 6)), State(ClassList()))
    (tmp_path / "text.edgeflow").write_text("nothing")
    result = _run(tmp_path / name, "--format", "coco", "--out", tmp_path / "a.json")
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "a.json").exists()


def test_options_as_text() -> None:
    assert parse_options(["a=1", " b = x=y"]) == {"a": "1", "b": "x=y"}
    for texts in (["a"], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(ValueError, match="options as NAME=VALUE, each name once"):
            parse_options(texts)


def test_the_list_names_every_format_and_option(mask: Path) -> None:
    result = _run(mask, "--format", "list")
    assert result.exit_code == 0
    for form in FORMATS.values():
        assert f"{form.name}: {form.title}" in result.stdout
        for option in form.options:
            assert f"    {option.name}={option.default}" in result.stdout


def test_an_option_reaches_the_writer(tmp_path: Path, mask: Path) -> None:
    out = tmp_path / "a.json"
    arguments = ["--format", "labelme", "--out", out, "--option", "version=5.0"]
    assert _run(mask, *arguments).exit_code == 0
    content = json.loads(out.read_text())
    assert content["version"] == "5.0.0"
    assert {shape["shape_type"] for shape in content["shapes"]} == {"polygon"}


def test_neither_torch_nor_qt_is_loaded(tmp_path: Path, mask: Path, image: Path) -> None:
    arguments = [str(mask), "--image", str(image), "--format", "measurements",
                 "--out", str(tmp_path / "a.csv")]  # fmt: skip
    code = (
        "import sys\n"
        "from napari_edgeflow.cli import app\n"
        "app(['export', '--help'], standalone_mode=False)\n"
        "light = {'numpy', 'tifffile', 'zarr', 'cv2', 'shapely'} & set(sys.modules)\n"
        f"app(['export', *{arguments!r}], standalone_mode=False)\n"
        "heavy = {'torch', 'napari', 'qtpy', 'PySide6', 'vispy', 'magicgui'}\n"
        "print('loaded:', sorted(light), sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: [] []"
