"""Saving with napari's own Save dialog; the files are read back by other programs' readers."""

from __future__ import annotations

import json
import weakref
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import tifffile
from matplotlib.path import Path as Outline
from napari.components import LayerList
from napari.layers import Image, Labels
from npe2 import PluginManifest
from npe2 import write as npe2_write
from PIL import Image as Picture
from pycocotools.coco import COCO  # type: ignore[import-untyped]
from qtpy.QtWidgets import QFileDialog

import napari_edgeflow
from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.objects import ObjectRecord
from napari_edgeflow.errors import AnnotationError, ExportError
from napari_edgeflow.export.formats import FORMATS
from napari_edgeflow.gui.files import writer
from napari_edgeflow.gui.projects.labels import PROJECT_KEY
from napari_edgeflow.gui.sample_data import open_aerial_buildings

PLUGIN = "napari-edgeflow"
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
Save = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def plugins(npe2pm: Any) -> Any:
    """napari's own plugin and this one, in the order in which napari knows them."""
    npe2pm.register(PluginManifest.from_distribution("napari"))
    npe2pm.register(
        PluginManifest.from_file(Path(napari_edgeflow.__file__).with_name("napari.yaml"))
    )
    return npe2pm


@pytest.fixture
def save() -> Save:
    """Save layers by name, as a script does."""

    def do(path: Path, *layers: Any) -> list[str]:
        saved: list[str] = LayerList(layers).save(str(path), plugin=PLUGIN)
        return saved

    return do


def _two_objects(dtype: Any = np.uint16) -> AnyArray:
    data = np.zeros((60, 80), dtype)
    data[5:15, 10:30] = 1
    data[8:10, 12:14] = 0
    data[40:50, 60:65] = 7
    return data


def _coco_labels(path: Path) -> dict[str, AnyArray]:
    """Ids of the objects in each image, painted by pycocotools."""
    coco = COCO(str(path))
    painted = {}
    for image in coco.dataset["images"]:
        labels = np.zeros((image["height"], image["width"]), int)
        for number in coco.getAnnIds([image["id"]]):
            (one,) = coco.loadAnns([number])
            labels[coco.annToMask(one) > 0] = one["attributes"]["object_id"]
        painted[image["file_name"]] = labels
    return painted


def test_every_format_has_an_entry_in_the_save_dialog(plugins: Any) -> None:
    manifest = plugins.get_manifest(PLUGIN)
    offered = set()
    for entry in manifest.contributions.writers:
        name = entry.command.partition(".save_")[2]
        (form,) = getattr(writer, f"save_{name}").args
        assert tuple(entry.filename_extensions) == writer.SUFFIXES[form]
        assert entry.display_name
        offered.add(form)
    assert offered == set(writer.SUFFIXES)
    assert offered == set(FORMATS)


def test_napari_still_saves_its_own_labels_by_default(tmp_path: Path) -> None:
    layer = Labels(np.stack([_two_objects()] * 5))
    for name in ("a.tif", "b"):
        (saved,) = LayerList([layer]).save(str(tmp_path / name))
        np.testing.assert_array_equal(tifffile.imread(saved), layer.data)
    LayerList([layer, Labels(_two_objects())]).save(str(tmp_path / "folder"))
    assert len(list((tmp_path / "folder").iterdir())) == 2


def test_in_a_real_window_the_dialogs_entry_decides(
    make_napari_viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.add_labels(_two_objects(), name="plate")

    def choose(_self: Any, *_args: Any, **options: Any) -> tuple[str, str]:
        (entry,) = [e for e in options["filter"].split(";;") if e.startswith("EdgeFlow YOLO")]
        return str(tmp_path / "for training"), entry

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    (action,) = [
        action
        for action in viewer.window.file_menu.actions()
        if action.text().startswith("Save Selected Layer")
    ]
    action.trigger()
    (line, _) = (tmp_path / "for training.yolo" / "labels" / "plate.txt").read_text().splitlines()
    assert line.startswith("0 ")
    assert "does not hold everything" in messages[-1]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_label_masks_hold_the_ids(
    save: Save, tmp_path: Path, dtype: Any, messages: list[str]
) -> None:
    labels = _two_objects(dtype)
    (tiff,) = save(tmp_path / "cells.tif", Labels(labels))
    np.testing.assert_array_equal(tifffile.imread(tiff), labels)
    assert "classes and names" in messages[-1]
    (png,) = save(tmp_path / "cells.png", Labels(labels))
    np.testing.assert_array_equal(np.asarray(Picture.open(png)), labels)


def test_the_longest_ending_chooses_the_format(save: Save, tmp_path: Path) -> None:
    layer = Labels(_two_objects())
    (classes,) = save(tmp_path / "cells.classes.png", layer)
    np.testing.assert_array_equal(np.asarray(Picture.open(classes)), _two_objects() > 0)
    (colors,) = save(tmp_path / "cells.colors.png", layer)
    with Picture.open(colors) as picture:
        assert picture.mode == "P"
    (labelme,) = save(tmp_path / "cells.labelme.json", layer)
    shapes = json.loads(Path(labelme).read_text())["shapes"]
    assert {shape["label"] for shape in shapes} == {"object"}
    (coco,) = save(tmp_path / "cells.json", layer)
    (painted,) = _coco_labels(Path(coco)).values()
    np.testing.assert_array_equal(painted, _two_objects())


def test_folders_of_voc_and_yolo(save: Save, tmp_path: Path) -> None:
    layer = Labels(_two_objects(), name="plate 1")
    (voc,) = save(tmp_path / "cells.voc", layer)
    mask = Picture.open(Path(voc) / "SegmentationObject" / "plate 1.png")
    np.testing.assert_array_equal(np.asarray(mask), np.minimum(_two_objects(), 2))
    boxes = ET.parse(Path(voc) / "Annotations" / "plate 1.xml").findall("object/bndbox")
    assert [[int(part.text or 0) for part in box] for box in boxes] == [
        [11, 6, 30, 15],
        [61, 41, 65, 50],
    ]
    (yolo,) = save(tmp_path / "cells.yolo", layer)
    lines = (Path(yolo) / "labels" / "plate 1.txt").read_text().splitlines()
    y, x = np.mgrid[:60, :80]
    centres = np.stack([(x + 0.5) / 80, (y + 0.5) / 60], axis=-1).reshape(-1, 2)
    for line, label in zip(lines, (1, 7), strict=True):
        ring = np.array(line.split()[1:], float).reshape(-1, 2)
        inside = Outline(ring).contains_points(centres).reshape(60, 80)
        filled = _two_objects() == label
        filled[5:15, 10:30] |= label == 1
        np.testing.assert_array_equal(inside, filled)


def test_a_cut_out_needs_the_image_in_the_selection(save: Save, tmp_path: Path) -> None:
    pixels = np.arange(60 * 80 * 3, dtype=np.uint8).reshape(60, 80, 3)
    image, layer = Image(pixels, name="plate"), Labels(_two_objects())
    (cut,) = save(tmp_path / "cut.cutout.png", image, layer)
    found = np.asarray(Picture.open(cut))
    np.testing.assert_array_equal(found[..., 3] > 0, _two_objects() > 0)
    np.testing.assert_array_equal(found[_two_objects() > 0, :3], pixels[_two_objects() > 0])
    with pytest.raises(ExportError, match="select the image too"):
        save(tmp_path / "cut.cutout.png", Labels(_two_objects()))


def test_planes_of_a_stack_are_images_of_a_series(save: Save, tmp_path: Path) -> None:
    stack = np.zeros((3, 60, 80), np.uint32)
    stack[0], stack[2, 3:5, 3:9] = _two_objects(), 70_000
    (coco,) = save(tmp_path / "stack.json", Labels(stack, name="cells.tif"))
    painted = _coco_labels(Path(coco))
    assert list(painted) == ["cells_0000.tif", "cells_0002.tif"]
    np.testing.assert_array_equal(painted["cells_0000.tif"], stack[0])
    np.testing.assert_array_equal(painted["cells_0002.tif"], stack[2])
    with pytest.raises(ExportError, match="got 2 planes; save as COCO"):
        save(tmp_path / "stack.tif", Labels(stack))


def test_a_pyramid_is_saved_at_full_resolution(save: Save, tmp_path: Path) -> None:
    whole = np.kron(_two_objects(), np.ones((4, 4), np.uint16))
    layer = Labels([whole, whole[::2, ::2]], multiscale=True)
    (tiff,) = save(tmp_path / "cells.tif", layer)
    np.testing.assert_array_equal(tifffile.imread(tiff), whole)


def test_objects_on_the_map(save: Save, tmp_path: Path) -> None:
    pytest.importorskip("pyproj")
    ((data, attributes, _),) = open_aerial_buildings()
    image = Image(data, **attributes)
    labels = np.zeros(image.data.shape[:2], np.uint32)
    labels[10:20, 30:50] = 4
    (gpkg,) = save(tmp_path / "roofs.gpkg", image, Labels(labels))
    meta, _, _, fields = pyogrio.raw.read(gpkg)
    assert meta["crs"]
    assert fields[list(meta["fields"]).index("id")].tolist() == [4]


def test_what_cannot_be_saved_is_said_in_words(save: Save, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="holds no object to save"):
        save(tmp_path / "a.json", Labels(np.zeros((9, 9), int), name="empty"))
    with pytest.raises(AnnotationError, match="expected ids from 0"):
        save(tmp_path / "a.json", Labels(np.full((9, 9), -1)))
    with pytest.raises(ExportError, match="place on the map"):
        save(tmp_path / "a.gpkg", Labels(_two_objects()))
    assert not list(tmp_path.iterdir())


class _Project:
    """As much of the window's project as a writer needs."""

    def __init__(self, labels: AnyArray) -> None:
        self.image = Image(np.zeros(labels.shape, np.uint8), name="plate.tif", scale=(0.5, 0.5))
        classes = ClassList().add("cell").add("débris")
        box = Window(40, 60, 50, 65)
        objects = {7: ObjectRecord(7, 2, box, 50, name="odd one")}
        self.state = State(classes, objects)
        self._labels = labels

    def read(self, window: Window, plane: Any) -> AnyArray:
        return self._labels[window.slices].astype(np.uint32)


def test_the_projects_classes_and_names_are_saved(save: Save, tmp_path: Path) -> None:
    project = _Project(_two_objects())
    layer = Labels(_two_objects(), metadata={PROJECT_KEY: weakref.ref(project)})
    (path,) = save(tmp_path / "cells.json", layer)
    coco = COCO(path)
    (one,) = coco.dataset["annotations"]
    assert coco.loadCats([one["category_id"]])[0]["name"] == "débris"
    assert one["attributes"] == {"object_id": 7, "name": "odd one"}
    np.testing.assert_array_equal(coco.annToMask(one) > 0, _two_objects() == 7)
    assert coco.dataset["images"][0]["file_name"] == "plate.tif"
    del project
    (path,) = save(tmp_path / "later.json", layer)  # closed: the layer speaks for itself
    assert len(COCO(path).dataset["annotations"]) == 2


def test_a_name_without_an_ending_gets_the_formats(tmp_path: Path) -> None:
    layer = Labels(_two_objects()).as_layer_data_tuple()
    assert writer.save_coco(str(tmp_path / "a"), [layer]) == [str(tmp_path / "a.json")]
    assert writer.save_voc(str(tmp_path / "b"), [layer]) == [str(tmp_path / "b.voc")]
    with pytest.raises(ExportError, match=r"expected a file ending in \.json"):
        writer.save_coco(str(tmp_path / "a.tif"), [layer])
    npe2_write(str(tmp_path / "c.png"), [layer], plugin_name=PLUGIN)
    np.testing.assert_array_equal(np.asarray(Picture.open(tmp_path / "c.png")), _two_objects())
