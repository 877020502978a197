"""A series with stacks and folders in one export, read again by loaders that are not ours."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import yaml  # type: ignore[import-untyped]
from matplotlib.path import Path as Outline
from napari.components import ViewerModel
from PIL import Image as Picture
from pycocotools.coco import COCO  # type: ignore[import-untyped]

from napari_edgeflow._types import AnyArray, Click
from napari_edgeflow.annotation.commands import edit_classes, reclassify
from napari_edgeflow.errors import Cancelled, ExportError
from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.series.export import SeriesOrder, export_series
from napari_edgeflow.gui.series.load import load_image

from .fakes import region, squares

# pycocotools decodes run lengths with NumPy 1's copy rule
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SHAPE = (60, 80)
BRIGHT, DIM, SPECK = (15, 20), (40, 50), (56, 3)
CLASSES = ("object", "nucleus")
Annotate = Callable[..., None]


def _stack(*sides: int) -> AnyArray:
    """Planes that differ, so that none can be taken for another."""
    planes = [np.roll(squares(), 2 * number, axis=1) for number in range(int(np.prod(sides)))]
    return np.stack(planes).reshape(*sides, *SHAPE)


def _mask(plane: AnyArray, *places: tuple[int, int]) -> AnyArray:
    """``(60, 80)`` ids from 1 in the order of the clicks."""
    labels = np.zeros(SHAPE, int)
    for number, place in enumerate(places, start=1):
        labels[region(plane, [Click(*place)])] = number
    return labels


@pytest.fixture
def annotate(make_controller: Any, settle: Callable[[Controller], None], qtbot: Any) -> Annotate:
    """Click objects of an image of a series, as the window loads and saves it."""

    def do(
        path: Path, *places: tuple[int, ...], second: Sequence[int] = (), layer: int | None = None
    ) -> None:
        viewer = ViewerModel()
        loaded = load_image(path).layers
        if layer is None:
            loaded, layer = loaded[:1], 0
        image = [viewer.add_image(data, **options) for data, options in loaded][layer]
        controller: Any = make_controller(viewer)
        controller.bind(image)
        settle(controller)
        controller.project.do(lambda state, _: edit_classes(state, state.classes.add(CLASSES[1])))
        for place in places:
            for axis, at in enumerate(place[:-2]):
                viewer.dims.set_point(axis, at * image.scale[axis])
            controller.click(place, "positive")
            settle(controller)
            controller.finish()
            settle(controller)
        if second:
            controller.project.do(lambda state, _: reclassify(state, second, 2))
        settle(controller)
        assert len(controller.project.state.objects) == len(places)
        controller.close()
        qtbot.waitUntil(lambda: not controller.projects.worker.is_alive, timeout=60_000)

    return do


@pytest.fixture
def series(tmp_path: Path, annotate: Annotate) -> tuple[tuple[str, Path, bool], ...]:
    """A picture in a folder, a stack, a time series of stacks, and a picture without objects."""
    folder = tmp_path / "images"
    (folder / "b").mkdir(parents=True)
    for name in ("b/plate.png", "empty.png"):
        Picture.fromarray(squares()).save(folder / name)
    tifffile.imwrite(folder / "z.tif", _stack(3), imagej=True, metadata={"axes": "ZYX"})
    tifffile.imwrite(folder / "tz.ome.tif", _stack(2, 3), metadata={"axes": "TZYX"})
    annotate(folder / "b/plate.png", BRIGHT, DIM, second=[2])
    annotate(folder / "z.tif", (0, *BRIGHT), (2, 40, 54), (2, 15, 24), second=[2])
    annotate(folder / "tz.ome.tif", (1, 2, 40, 60), second=[1])
    names = ("b/plate.png", "z.tif", "tz.ome.tif", "empty.png")
    return tuple((name, folder / name, name == "empty.png") for name in names)


@pytest.fixture
def expected() -> dict[str, tuple[AnyArray, tuple[int, ...]]]:
    """By stem: ids from 1 as drawn, and the class of each."""
    z, tz = _stack(3), _stack(2, 3)
    return {
        "b_plate": (_mask(squares(), BRIGHT, DIM), (1, 2)),
        "z_0000": (_mask(z[0], BRIGHT), (1,)),
        "z_0002": (_mask(z[2], (40, 54), (15, 24)), (2, 1)),
        "tz.ome_0001_0002": (_mask(tz[1, 2], (40, 60)), (2,)),
        "empty": (np.zeros(SHAPE, int), ()),
    }


def _order(series: Any, form: str, path: Path) -> SeriesOrder:
    return SeriesOrder(form, path, series)


def test_a_series_as_pascal_voc(series: Any, expected: Any, tmp_path: Path) -> None:
    root = tmp_path / "voc"
    report = export_series(_order(series, "voc", root))
    assert (report.n_images, report.n_objects) == (5, 6)
    assert "images are not copied" in report.notes
    assert (root / "ImageSets/Segmentation/all.txt").read_text().split("\n")[:-1] == list(expected)
    lines = (root / "labelmap.txt").read_text().splitlines()
    assert [line.split(":")[0] for line in lines] == ["background", *CLASSES]
    for stem, (labels, classes) in expected.items():
        with Picture.open(root / "SegmentationObject" / f"{stem}.png") as judge:
            np.testing.assert_array_equal(np.asarray(judge), labels)
        with Picture.open(root / "SegmentationClass" / f"{stem}.png") as judge:
            np.testing.assert_array_equal(np.asarray(judge), np.array([0, *classes])[labels])
        xml = ET.parse(root / "Annotations" / f"{stem}.xml").getroot()
        assert Path(xml.findtext("filename") or "").stem == stem
        assert [xml.findtext(f"size/{name}") for name in ("height", "width")] == ["60", "80"]
        found = xml.findall("object")
        assert [one.findtext("name") for one in found] == [CLASSES[i - 1] for i in classes]
        for number, one in enumerate(found, start=1):
            rows, columns = np.nonzero(labels == number)
            box = [int(one.findtext(f"bndbox/{n}") or 0) for n in ("xmin", "ymin", "xmax", "ymax")]
            assert box == [columns.min() + 1, rows.min() + 1, columns.max() + 1, rows.max() + 1]


def test_a_series_as_yolo(series: Any, expected: Any, tmp_path: Path) -> None:
    root = tmp_path / "yolo"
    assert export_series(_order(series, "yolo", root)).n_images == 5
    config = yaml.safe_load((root / "data.yaml").read_text())
    assert list(config["names"].items()) == list(enumerate(CLASSES))
    assert {path.stem for path in (root / "labels").iterdir()} == set(expected)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    for stem, (labels, classes) in expected.items():
        lines = (root / "labels" / f"{stem}.txt").read_text().splitlines()
        assert [int(line.split()[0]) for line in lines] == [i - 1 for i in classes]
        painted = np.zeros(SHAPE, int)
        for number, line in enumerate(lines, start=1):
            ring = np.array(line.split()[1:], float).reshape(-1, 2) * (80, 60)
            inside = Outline(ring).contains_points(np.stack([x.ravel(), y.ravel()], axis=1))
            painted[inside.reshape(SHAPE)] = number
        np.testing.assert_array_equal(painted, labels)


def test_a_series_as_coco(series: Any, expected: Any, tmp_path: Path) -> None:
    path = tmp_path / "all.json"
    report = export_series(_order(series, "coco", path))
    coco = COCO(path)
    names = [one["file_name"] for one in coco.dataset["images"]]
    assert names == ["b/plate.png", "z_0000.tif", "z_0002.tif", "tz.ome_0001_0002.tif", "empty.png"]
    assert any(note.endswith("of their own, such as z_0000.tif") for note in report.notes)
    for image, (labels, classes) in zip(coco.dataset["images"], expected.values(), strict=True):
        found = coco.loadAnns(coco.getAnnIds([image["id"]]))
        titles = [coco.loadCats([one["category_id"]])[0]["name"] for one in found]
        assert titles == [CLASSES[i - 1] for i in classes]
        for number, one in enumerate(found, start=1):
            np.testing.assert_array_equal(coco.annToMask(one), labels == number)


@pytest.mark.parametrize("form", ["label_tiff", "label_png"])
def test_a_mask_for_each_plane(series: Any, expected: Any, tmp_path: Path, form: str) -> None:
    export_series(_order(series, form, tmp_path / "masks"))
    found = {path.stem: path for path in (tmp_path / "masks").iterdir()}
    assert set(found) == set(expected)
    for stem, (labels, _) in expected.items():
        mask = cv2.imread(str(found[stem]), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        ids = np.unique(mask)
        np.testing.assert_array_equal(mask > 0, labels > 0)
        assert len(ids) == len(np.unique(labels))


def test_cutouts_and_measurements_take_each_plane_s_own_pixels(
    series: Any, expected: Any, tmp_path: Path
) -> None:
    export_series(_order(series, "cutout", tmp_path / "cut"))
    for stem, (labels, _) in expected.items():
        with Picture.open(tmp_path / "cut" / f"{stem}.png") as judge:
            np.testing.assert_array_equal(np.asarray(judge)[..., 3] > 0, labels > 0)
    export_series(_order(series, "measurements", tmp_path / "csv"))
    assert {path.stem for path in (tmp_path / "csv").iterdir()} == set(expected)
    rows = (tmp_path / "csv" / "z_0002.csv").read_text(encoding="utf-8-sig").splitlines()
    table = [dict(zip(rows[0].split(","), row.split(","), strict=True)) for row in rows[1:]]
    assert [float(row["intensity_mean"]) for row in table] == [120.0, 200.0]


def test_a_stack_that_is_done_and_empty_is_left_out_in_words(
    tmp_path: Path, annotate: Annotate
) -> None:
    """Nobody says of which of its planes it holds true that there is no object."""
    tifffile.imwrite(tmp_path / "z.tif", _stack(3), imagej=True, metadata={"axes": "ZYX"})
    Picture.fromarray(squares()).save(tmp_path / "a.png")
    annotate(tmp_path / "a.png", BRIGHT)
    images = (("a.png", tmp_path / "a.png", False), ("z.tif", tmp_path / "z.tif", True))
    for form, path in (("coco", tmp_path / "a.json"), ("cutout", tmp_path / "cut")):
        report = export_series(SeriesOrder(form, path, images))
        assert report.n_images == 1
        assert any(
            note.startswith("z.tif was left out: it is a stack without objects")
            for note in report.notes
        )


def test_names_that_meet_are_told_apart(tmp_path: Path, annotate: Annotate) -> None:
    (tmp_path / "a").mkdir()
    for name in ("a/b.png", "a_b.png", "a_b.bmp"):
        Picture.fromarray(squares()).save(tmp_path / name)
        annotate(tmp_path / name, BRIGHT)
    images = tuple((name, tmp_path / name, False) for name in ("a/b.png", "a_b.png", "a_b.bmp"))
    with pytest.raises(ExportError, match="different names, got 'a_b' twice; rename one"):
        export_series(SeriesOrder("voc", tmp_path / "voc", images))
    assert not (tmp_path / "voc").exists()


def test_a_series_export_is_cancelled_without_a_file(series: Any, tmp_path: Path) -> None:
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > len(series)

    for form in ("voc", "yolo", "label_png"):
        asked.clear()
        with pytest.raises(Cancelled):
            export_series(_order(series, form, tmp_path / form), should_stop=stop)
        assert not [one for one in (tmp_path / form).rglob("*") if one.is_file()]


def test_objects_of_every_channel_are_found(tmp_path: Path, annotate: Annotate) -> None:
    """A file of channels is several layers, each with a journal of its own."""
    path = tmp_path / "c.tif"
    tifffile.imwrite(path, _stack(3), imagej=True, metadata={"axes": "CYX"})
    tifffile.imwrite(tmp_path / "c.tif.2.tif", squares())  # an image of its own
    annotate(tmp_path / "c.tif.2.tif", SPECK)
    annotate(path, (15, 24), layer=2)
    order = SeriesOrder("cutout", tmp_path / "one", (("c.tif", path, False),))
    assert export_series(order).n_images == 1
    z = _stack(3)
    with Picture.open(tmp_path / "one" / "c.png") as judge:
        np.testing.assert_array_equal(np.asarray(judge)[..., 3] > 0, _mask(z[2], (15, 24)) > 0)
        # bright to the object's last column, where the first channel is dark
        assert np.asarray(judge)[10:25, 14:34, :3].min() == 200
    annotate(path, (15, 20), (40, 50))
    order = SeriesOrder("label_tiff", tmp_path / "all", (("c.tif", path, False),))
    report = export_series(order)
    assert (report.n_images, report.n_objects) == (2, 3)
    masks = {one.name: tifffile.imread(one) for one in (tmp_path / "all").iterdir()}
    assert set(masks) == {"c.tif", "c_c_channel_3.tif"}
    np.testing.assert_array_equal(masks["c.tif"], _mask(z[0], (15, 20), (40, 50)))
    np.testing.assert_array_equal(masks["c_c_channel_3.tif"], _mask(z[2], (15, 24)))
