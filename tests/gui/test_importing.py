"""Files made by other programs' writers, and layers, as objects of the window's image."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from napari.layers import Image, Labels
from PIL import Image as Picture
from pycocotools import mask as coco_mask  # type: ignore[import-untyped]

from napari_edgeflow._types import AnyArray, Click
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.store import ArrayStore
from napari_edgeflow.errors import AnnotationError, EdgeFlowError, ExportError
from napari_edgeflow.gui.files.image_facts import ImageFacts
from napari_edgeflow.gui.files.importing import (
    Import,
    Wanted,
    import_file,
    import_layer,
    read_prompts,
)

pyogrio = pytest.importorskip("pyogrio")
rasterio = pytest.importorskip("rasterio")
features = pytest.importorskip("rasterio.features")

SHAPE = (60, 80)


def _wanted(name: str = "plate.tif", **options: Any) -> Wanted:
    image = Image(np.zeros(SHAPE, np.uint8), name=name, **options)
    return Wanted(ImageFacts.of_layer(image), (), SHAPE)


def _blobs() -> AnyArray:
    """Two objects that touch, one with a hole."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[5:25, 10:30] = 3
    labels[10:15, 15:20] = 0
    labels[25:40, 20:50] = 8
    return labels


def _apply(
    one: Import, store: ArrayStore | None = None, state: State | None = None
) -> tuple[State, AnyArray]:
    store = store or ArrayStore.empty(SHAPE)
    state = state or State(ClassList().add("cell"))
    change = one.make(state, store)
    after = change.apply(state, store)
    labels = store.array.copy()
    change.revert(after, store)
    assert not store.array.any() or state.objects  # one step takes all of it back
    return after, labels


def _is_same_partition(labels: AnyArray, expected: AnyArray) -> bool:
    pairs = {(int(a), int(b)) for a, b in zip(labels.ravel(), expected.ravel(), strict=True)}
    return len(pairs) == len(np.unique(expected)) == len(np.unique(labels))


def _coco(path: Path, names: list[str], shape: tuple[int, int] = SHAPE) -> Path:
    """Each image has the blobs, packed by pycocotools."""
    rows: list[dict[str, Any]] = []
    for image_id, _ in enumerate(names):
        for label, category in ((3, 5), (8, 6)):
            runs = coco_mask.encode(np.asfortranarray(_blobs() == label, dtype=np.uint8))
            runs["counts"] = runs["counts"].decode()
            row = {"id": len(rows), "image_id": image_id, "category_id": category, "iscrowd": 0}
            rows.append({**row, "segmentation": runs})
    images = [
        {"id": n, "file_name": name, "height": shape[0], "width": shape[1]}
        for n, name in enumerate(names)
    ]
    categories = [{"id": 5, "name": "cell"}, {"id": 6, "name": "débris"}]
    content = {"images": images, "annotations": rows, "categories": categories}
    path.write_text(json.dumps(content))
    return path


def test_coco_of_many_images_gives_the_one_of_this_name(tmp_path: Path) -> None:
    path = _coco(tmp_path / "all.json", ["a/other.tif", "b/plate.png"])
    one = import_file(path, _wanted())
    state, labels = _apply(one)
    assert _is_same_partition(labels, _blobs())
    names = {state.classes.get(r.class_id).name: r.area_px for r in state.objects.values()}
    assert names == {"cell": int((_blobs() == 3).sum()), "débris": int((_blobs() == 8).sum())}
    with pytest.raises(AnnotationError, match=r"called lost\.tif in the file, got 2"):
        _apply(import_file(path, _wanted("lost.tif")))
    alone = _coco(tmp_path / "one.json", ["somewhere.png"])
    assert _apply(import_file(alone, _wanted()))[1].any()


def test_labelme_and_masks(tmp_path: Path) -> None:
    shapes = [{"label": "roof", "shape_type": "rectangle", "points": [[10, 5], [30, 25]]}]
    content = {"imagePath": "x.png", "imageHeight": 60, "imageWidth": 80, "shapes": shapes}
    (tmp_path / "a.json").write_text(json.dumps(content))
    state, labels = _apply(import_file(tmp_path / "a.json", _wanted()))
    expected = np.zeros(SHAPE, bool)
    expected[5:25, 10:30] = True
    np.testing.assert_array_equal(labels > 0, expected)
    assert state.classes.classes[-1].name == "roof"

    Picture.fromarray(_blobs().astype(np.uint8)).save(tmp_path / "m.png")
    assert _is_same_partition(_apply(import_file(tmp_path / "m.png", _wanted()))[1], _blobs())
    Picture.fromarray((_blobs() > 0).astype(np.uint8)).save(tmp_path / "c.png")
    as_classes = import_file(tmp_path / "c.png", _wanted(), holds_classes=True)
    state, labels = _apply(as_classes)
    np.testing.assert_array_equal(labels > 0, _blobs() > 0)
    assert [r.class_id for r in state.objects.values()] == [1]


def _georeferenced(tmp_path: Path) -> tuple[Wanted, Any]:
    transform = rasterio.Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)
    path = tmp_path / "map.tif"
    options = {"height": 60, "width": 80, "count": 1, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(path, "w", driver="GTiff", transform=transform, **options) as file:
        file.write(np.ones((1, *SHAPE), np.uint8))
    return _wanted(metadata={"path": str(path)}), transform


def _write(path: Path, shapes: list[Any], **columns: list[Any]) -> Path:
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(np.array(shapes, object)),
        field_data=[np.array(values, object) for values in columns.values()],
        fields=list(columns),
        geometry_type="Unknown",
        crs="EPSG:32633",
    )
    return path


@pytest.mark.parametrize("ending", [".gpkg", ".geojson"])
def test_polygons_on_the_map_become_objects(tmp_path: Path, ending: str) -> None:
    wanted, transform = _georeferenced(tmp_path)
    corners = np.array([(12.2, 7.7), (41.3, 9.1), (30.9, 33.3)])
    triangle = shapely.Polygon([transform @ tuple(corner) for corner in corners])
    path = _write(
        tmp_path / f"roofs{ending}",
        [triangle, shapely.Point(triangle.centroid)],
        **{"class": ["roof", None], "name": ["mine", None]},
    )
    one = import_file(path, wanted)
    state, labels = _apply(one)
    expected = features.rasterize([triangle], SHAPE, transform=transform).astype(bool)
    np.testing.assert_array_equal(labels > 0, expected)
    (record,) = state.objects.values()
    assert (state.classes.get(record.class_id).name, record.name) == ("roof", "mine")
    assert one.notes == ("1 points left out: import them as prompts",)


def test_points_on_the_map_become_prompts(tmp_path: Path) -> None:
    wanted, transform = _georeferenced(tmp_path)
    points = [shapely.Point(transform @ (x + 0.5, y + 0.5)) for y, x in ((4, 7), (30, 41), (5, 9))]
    path = _write(tmp_path / "points.gpkg", points, group=["a", "b", "a"], sign=["+", "-", "-"])
    prompts, notes = read_prompts(path, wanted)
    ((first, second),) = prompts
    assert (first.pixel, first.is_positive) == ((4, 7), True)
    assert (second.pixel, second.is_positive) == ((5, 9), False)
    assert notes == ["1 objects without a positive click left out"]
    assert isinstance(first, Click)
    with pytest.raises(ExportError, match="place on the map"):
        read_prompts(path, _wanted())


def test_a_layers_objects_plane_by_plane() -> None:
    stack = np.stack([np.zeros(SHAPE, int), _blobs(), _blobs() * 2])
    image = Image(np.zeros((3, *SHAPE), np.uint8))
    wanted = Wanted(ImageFacts.of_layer(image), (1, None, None), SHAPE)
    store = ArrayStore(np.zeros((3, *SHAPE), np.uint32))
    state, labels = _apply(import_layer(Labels(stack), wanted), store)
    assert [record.plane for record in state.objects.values()] == [
        *[(1, None, None)] * 2,
        *[(2, None, None)] * 2,
    ]
    assert _is_same_partition(labels[1], stack[1])
    assert _is_same_partition(labels[2], stack[2])
    assert len(set(labels[labels > 0].tolist())) == 4
    flat, labels = _apply(import_layer(Labels(_blobs()), wanted), store)
    assert {record.plane for record in flat.objects.values()} == {(1, None, None)}
    with pytest.raises(ValueError, match="choose the layer that belongs to this image"):
        import_layer(Labels(np.zeros((5, 5), int)), wanted)


def test_a_pyramids_objects_come_from_its_finest_level() -> None:
    layer = Labels([_blobs(), _blobs()[::2, ::2]], multiscale=True)
    assert _is_same_partition(_apply(import_layer(layer, _wanted()))[1], _blobs())


def test_objects_that_are_there_keep_their_pixels(tmp_path: Path) -> None:
    store = ArrayStore(np.where(_blobs() == 8, np.uint32(40), np.uint32(0)))
    one = import_layer(Labels(_blobs()), _wanted())
    state = State(ClassList().add("cell"))
    after = one.make(state, store).apply(state, store)
    assert list(after.objects) == [41]
    np.testing.assert_array_equal(store.array == 41, _blobs() == 3)
    np.testing.assert_array_equal(store.array == 40, _blobs() == 8)
    assert one.notes[0] == "1 of 2 objects lie wholly under others: left out"


def test_files_that_do_not_fit_are_refused_in_words(tmp_path: Path) -> None:
    other = replace(_wanted(), shape=(60, 81))
    Picture.fromarray(_blobs().astype(np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(ValueError, match=r"60 × 81 px .*got m\.png of 60 × 80; open the image"):
        _apply(import_file(tmp_path / "m.png", other))
    (tmp_path / "x.json").write_text('{"hello": 1}')
    (tmp_path / "y.json").write_text('{"hello": ')
    (tmp_path / "z.txt").write_text("hello")
    for name, words in (
        ("x.json", "got the keys hello"),
        ("y.json", "cannot be read as JSON"),
        ("z.txt", "expected annotations ending in"),
        ("none.json", "cannot be read"),
        ("none.png", "cannot be read"),
    ):
        with pytest.raises(EdgeFlowError, match=words):
            _apply(import_file(tmp_path / name, _wanted()))
    with pytest.raises(ValueError, match="expected objects to import, got none"):
        _apply(import_layer(Labels(np.zeros(SHAPE, int)), _wanted()))
