"""Masks and pictures, re-read by PIL, tifffile and rasterio."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image
from tests.export.scenes import CLASSES, Picture, scene, scene_labels

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.classes import ClassList, ObjectClass
from napari_edgeflow.annotation.objects import Labels
from napari_edgeflow.errors import ExportError
from napari_edgeflow.export.palette import voc_palette
from napari_edgeflow.export.pictures import (
    StretchedPixels,
    write_class_mask,
    write_cutout,
    write_object_mask,
    write_pseudocolor,
)
from napari_edgeflow.raster.georef import GeoReference
from napari_edgeflow.raster.open import open_raster

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.mark.parametrize("shape", [(61, 83), (300, 513)])
@pytest.mark.parametrize("suffix", [".tif", ".tiff", ".png"])
def test_ids_of_objects(tmp_path: Path, suffix: str, shape: tuple[int, int]) -> None:
    labels = scene_labels(shape)
    path = tmp_path / f"a{suffix}"
    notes = write_object_mask(path, scene(labels))
    stored = np.asarray(Image.open(path)) if suffix == ".png" else tifffile.imread(path)
    assert stored.dtype == np.uint16
    np.testing.assert_array_equal(stored, labels)
    if suffix != ".png":
        with rasterio.open(path) as judge:
            np.testing.assert_array_equal(judge.read(1), labels)
    assert notes == ("classes and names are not in a label mask",)


def test_labels_that_belong_to_no_object_are_background(tmp_path: Path) -> None:
    annotated = scene()
    fewer = replace(annotated, objects=annotated.objects[1:])
    write_object_mask(tmp_path / "a.tif", fewer)
    expected = np.where(scene_labels() == 3, 0, scene_labels())
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), expected)


def test_ids_of_classes(tmp_path: Path) -> None:
    expected = np.zeros((61, 83))
    for label, class_id in ((3, 1), (7, 2), (12, 1), (900, 2)):
        expected[scene_labels() == label] = class_id
    for suffix in (".tif", ".png"):
        path = tmp_path / f"a{suffix}"
        notes = write_class_mask(path, scene())
        stored = np.asarray(Image.open(path))
        assert stored.dtype == np.uint8
        np.testing.assert_array_equal(stored, expected)
        assert notes == ("objects of one class that touch cannot be told apart in a class mask",)


def test_the_place_on_the_map(tmp_path: Path) -> None:
    place = GeoReference(pixel_scale=(0.5, 0.5, 0.0), tiepoint=(0.0, 0.0, 0.0, 100.0, 200.0, 0.0))
    annotated = scene()
    annotated = replace(annotated, image=replace(annotated.image, georeference=place))
    write_object_mask(tmp_path / "a.tif", annotated)
    with rasterio.open(tmp_path / "a.tif") as judge:
        assert (judge.transform.a, judge.transform.c, judge.transform.f) == (0.5, 100, 200)
    notes = write_object_mask(tmp_path / "a.png", annotated)
    assert "the place on the map is not in a PNG; TIFF keeps it" in notes


class _Huge:
    """Labels of an image that no memory holds: all 0 but one tile."""

    shape = (70_000, 70_000)

    def read(self, window: Window) -> Labels:
        assert window.height * window.width <= 2**21
        return np.zeros(window.shape, np.uint32)


def test_formats_that_need_the_whole_image_refuse_a_huge_one(tmp_path: Path) -> None:
    annotated = scene()
    image = replace(annotated.image, shape=_Huge.shape)
    huge = replace(annotated, image=image, labels=_Huge(), objects=(), pixels=Picture(np.zeros((1, 1, 3), np.uint8)))  # fmt: skip  # noqa: E501
    for attempt in (write_object_mask, write_class_mask, write_pseudocolor, write_cutout):
        with pytest.raises(ExportError, match=r"at most \d+ px .*export a label TIFF"):
            attempt(tmp_path / "a.png", huge)
    assert list(tmp_path.iterdir()) == []


def test_pseudocolour(tmp_path: Path) -> None:
    write_pseudocolor(tmp_path / "a.png", scene())
    with Image.open(tmp_path / "a.png") as judge:
        assert judge.mode == "P"
        indices, rgb = np.asarray(judge), np.asarray(judge.convert("RGB"))
    labels = scene_labels()
    assert set(np.unique(indices[labels == 7])) == {2}
    assert np.all(rgb[labels == 3] == CLASSES.get(1).color)
    assert np.all(rgb[labels == 900] == (10, 20, 30))
    assert np.all(rgb[labels == 0] == 0)


def test_pseudocolour_with_high_class_ids_is_rgb(tmp_path: Path) -> None:
    classes = ClassList((ObjectClass(1, "a", (1, 2, 3)), ObjectClass(2, "b", (4, 5, 6)), ObjectClass(300, "c", (7, 8, 9))))  # fmt: skip  # noqa: E501
    notes = write_pseudocolor(tmp_path / "a.png", scene(classes=classes))
    rgb = np.asarray(Image.open(tmp_path / "a.png"))
    assert np.all(rgb[scene_labels() == 7] == (4, 5, 6))
    assert "up to 300 do not fit a palette" in notes[-1]


def test_cutout(tmp_path: Path) -> None:
    rgb = np.random.default_rng(1).integers(1, 255, (61, 83, 3), np.uint8)
    write_cutout(tmp_path / "a.png", scene(pixels=Picture(rgb)))
    rgba = np.asarray(Image.open(tmp_path / "a.png"))
    inside = scene_labels() > 0
    np.testing.assert_array_equal(rgba[..., 3], np.where(inside, 255, 0))
    np.testing.assert_array_equal(rgba[inside, :3], rgb[inside])
    assert not rgba[~inside].any()
    with pytest.raises(ExportError, match="give the annotations its pixels"):
        write_cutout(tmp_path / "a.png", scene())


def test_the_image_as_it_is_shown() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (61, 83, 3), np.uint8)
    with open_raster(rgb) as source:
        pixels = StretchedPixels.of(source)
        np.testing.assert_array_equal(pixels.read_rgb(Window(3, 4, 20, 30)), rgb[3:20, 4:30])
    gray = np.linspace(0, 40_000, 61 * 83).reshape(61, 83).astype(np.uint16)
    with open_raster(gray) as source:
        shown = StretchedPixels.of(source).read_rgb(Window(0, 0, 61, 83))
    assert (shown.min(), shown.max()) == (0, 255)
    assert np.all(np.diff(shown[..., 0].ravel().astype(int)) >= 0)


def test_voc_s_palette() -> None:
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 15: (192, 128, 128), 20: (0, 64, 128),
             255: (224, 224, 192)}  # fmt: skip
    palette = voc_palette()
    assert {index: palette[index] for index in known} == known
    assert len(set(palette)) == 256
