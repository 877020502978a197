"""Formats for microscopy, re-read by GDAL, shapely, roifile, yaozarrs and zarr."""

from __future__ import annotations

import json
import uuid
import xml.etree.ElementTree as ET
from dataclasses import replace
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
from matplotlib.path import Path as Outline
from tests.export.scenes import scene, scene_labels

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.objects import AnnotationSet, ImageInfo, ObjectRecord
from napari_edgeflow.errors import Cancelled, ExportError
from napari_edgeflow.export.formats import export
from napari_edgeflow.export.imagej_roi import write_imagej_rois
from napari_edgeflow.export.ome_tiff import write_ome_tiff
from napari_edgeflow.export.ome_zarr import write_ome_zarr
from napari_edgeflow.export.qupath import write_qupath
from napari_edgeflow.export.run import ExportRun
from napari_edgeflow.raster.open import open_raster

OME = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"


def _sized(annotated: AnnotationSet, size: tuple[float, float], unit: str) -> AnnotationSet:
    return replace(annotated, image=replace(annotated.image, pixel_size_yx=size, unit=unit))


def _on_plane(annotated: AnnotationSet, *plane: int | None) -> AnnotationSet:
    objects = tuple(replace(record, plane=plane) for record in annotated.objects)
    return replace(annotated, objects=objects)


# -- QuPath --------------------------------------------------------------------------------


def _features(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["features"]
    return found


def test_qupath_outlines_are_the_objects_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    assert write_qupath(path, scene()) == ()
    features = _features(path)
    shapes = [shapely.from_geojson(json.dumps(one["geometry"])) for one in features]
    assert all(shape.is_valid for shape in shapes)
    ids = [int(one["properties"]["metadata"]["object_id"]) for one in features]
    assert ids == [3, 7, 12, 900]
    burnt = rasterio.features.rasterize(zip(shapes, ids, strict=True), (61, 83), dtype=np.int32)
    np.testing.assert_array_equal(burnt, scene_labels())
    assert [shape.geom_type for shape in shapes] == ["Polygon"] * 3 + ["MultiPolygon"]
    assert pyogrio.read_info(path)["features"] == 4  # GDAL reads it too


def test_qupath_knows_classes_colours_and_ids(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    write_qupath(path, scene())
    for number, one in enumerate(_features(path)):
        properties = one["properties"]
        kind = scene().classes.get(1 + number % 2)
        assert properties["classification"] == {"name": kind.name, "color": list(kind.color)}
        assert properties["objectType"] == "annotation"
        assert properties["name"].startswith("object ")
        assert "plane" not in one["geometry"]
        uuid.UUID(one["id"])
    before = [one["id"] for one in _features(path)]
    write_qupath(path, scene())
    assert [one["id"] for one in _features(path)] == before
    assert len(set(before)) == 4
    run = ExportRun({"object-type": "detection"})
    write_qupath(path, _on_plane(scene(), 4, None, 7, None), run)
    assert _features(path)[0]["properties"]["objectType"] == "detection"
    # with two axes beside rows and columns, the first is time
    assert _features(path)[0]["geometry"]["plane"] == {"c": -1, "z": 7, "t": 4}


def test_qupath_outlines_are_simplified_together(tmp_path: Path) -> None:
    rows, columns = np.indices((80, 90))
    labels = 1 + (rows + 5 * np.sin(columns / 7) > 40) + 2 * (columns + 5 * np.sin(rows / 9) > 45)
    export("qupath", tmp_path / "a.geojson", [scene(labels)], options={"tolerance": "1.5"})
    shapes = [shapely.from_geojson(json.dumps(f["geometry"])) for f in _features(tmp_path / "a.geojson")]  # fmt: skip  # noqa: E501
    write_qupath(tmp_path / "b.geojson", scene(labels))
    exact = [shapely.from_geojson(json.dumps(f["geometry"])) for f in _features(tmp_path / "b.geojson")]  # fmt: skip  # noqa: E501
    assert shapely.get_num_coordinates(shapes).sum() < shapely.get_num_coordinates(exact).sum() / 2
    # neither gaps nor overlaps
    assert shapely.area(shapes).sum() == pytest.approx(shapely.union_all(shapes).area)
    assert shapely.coverage_is_valid(shapes)


# -- ImageJ --------------------------------------------------------------------------------


def _rois(path: Path) -> list[Any]:
    roifile = pytest.importorskip("roifile")
    return list(roifile.roiread(path))


def test_names_of_rois_may_have_any_letters(tmp_path: Path) -> None:
    annotated = scene()
    objects = tuple(replace(record, name="𠮷 cell 𐍈") for record in annotated.objects)
    write_imagej_rois(tmp_path / "a.zip", replace(annotated, objects=objects))
    assert [roi.name for roi in _rois(tmp_path / "a.zip")] == [
        f"{label:03d} 𠮷 cell 𐍈" for label in (3, 7, 12, 900)
    ]


def _painted(roi: Any, shape: tuple[int, int]) -> AnyArray:
    """Pixels inside by the even-odd rule, as ImageJ fills composite ROIs."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    centres = np.stack([x.ravel() + 0.5, y.ravel() + 0.5], axis=1)
    inside = np.zeros(shape[0] * shape[1], bool)
    for ring in roi.coordinates(multi=True):
        inside ^= Outline(ring).contains_points(centres)
    return inside.reshape(shape)


def test_imagej_rois_are_the_objects_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    assert write_imagej_rois(path, scene()) == ()
    rois = _rois(path)
    labels = scene_labels()
    assert [roi.name for roi in rois] == [
        "003 object 3", "007 object 7", "012 object 12", "900 object 900"
    ]  # fmt: skip
    for roi in rois:
        label = int(roi.name.split()[0])
        np.testing.assert_array_equal(_painted(roi, labels.shape), labels == label)
        rows, columns = np.nonzero(labels == label)
        box = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
        assert (roi.top, roi.left, roi.bottom, roi.right) == box
    # the ring and the object of two parts are composites, the others plain outlines
    assert [roi.composite for roi in rois] == [True, False, False, True]


def test_imagej_rois_have_colour_group_and_class(tmp_path: Path) -> None:
    write_imagej_rois(tmp_path / "a.zip", scene())
    for number, roi in enumerate(_rois(tmp_path / "a.zip")):
        kind = scene().classes.get(1 + number % 2)
        assert roi.stroke_color == bytes([255, *kind.color])
        assert roi.group == 1 + number % 2
        assert roi.props.splitlines()[0] == f"class: {kind.name}"
        assert (roi.position, roi.z_position, roi.t_position) == (0, 0, 0)
    write_imagej_rois(tmp_path / "z.zip", _on_plane(scene(), 4, None, None))
    assert {roi.position for roi in _rois(tmp_path / "z.zip")} == {5}  # counted from 1
    write_imagej_rois(tmp_path / "t.zip", _on_plane(scene(), 4, 2, None, None))
    assert {(r.t_position, r.z_position) for r in _rois(tmp_path / "t.zip")} == {(5, 3)}


class _FarAway:
    """A square beyond the 16 bits of an ImageJ coordinate."""

    shape = (70_000, 70_000)
    box = Window(66_000, 40_000, 66_010, 40_020)

    def read(self, window: Window) -> AnyArray:
        part = np.zeros(window.shape, np.uint32)
        common = self.box.intersect(window)
        if common is not None:
            part[common.relative_to(window).slices] = 1
        return part


def test_imagej_rois_beyond_16_bits(tmp_path: Path) -> None:
    labels = _FarAway()
    record = ObjectRecord(1, 1, labels.box, 200)
    far = AnnotationSet(
        ImageInfo("slide", labels.shape), ClassList().add("a/b: c"), (record,), labels
    )
    write_imagej_rois(tmp_path / "a.zip", far)
    (roi,) = _rois(tmp_path / "a.zip")
    (ring,) = roi.coordinates(multi=True)
    assert (ring.min(axis=0).tolist(), ring.max(axis=0).tolist()) == (
        [40_000, 66_000], [40_020, 66_010]
    )  # fmt: skip
    assert roi.name == "1 a_b_ c"


# -- OME-TIFF ------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_ome_tiff_pixels_and_size(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    notes = write_ome_tiff(path, _sized(scene(), (0.25, 0.5), "um"))
    assert notes == ("classes and names are not in a label image",)
    with rasterio.open(path) as judge:
        np.testing.assert_array_equal(judge.read(1), scene_labels())
        assert judge.dtypes == ("uint16",)
        tags = judge.tags()
        assert float(tags["TIFFTAG_XRESOLUTION"]) == pytest.approx(1e4 / 0.5)
        assert float(tags["TIFFTAG_YRESOLUTION"]) == pytest.approx(1e4 / 0.25)
        assert tags["TIFFTAG_RESOLUTIONUNIT"] == "3 (pixels/cm)"
        pixels = ET.fromstring(tags["TIFFTAG_IMAGEDESCRIPTION"]).find(f"{OME}Image/{OME}Pixels")
    assert pixels is not None
    known = {key: pixels.get(key) for key in ("SizeX", "SizeY", "Type", "DimensionOrder")}
    assert known == {"SizeX": "83", "SizeY": "61", "Type": "uint16", "DimensionOrder": "XYCZT"}
    sizes = [pixels.get(f"PhysicalSize{a}") for a in ("X", "XUnit", "Y", "YUnit")]
    assert sizes == ["0.5", "µm", "0.25", "µm"]
    with open_raster(path) as raster:
        assert raster.shape == (61, 83)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_ome_tiff_beyond_16_bits_and_tiles(tmp_path: Path) -> None:
    labels = np.zeros((300, 521), np.uint32)
    labels[250:, 500:], labels[0, 0] = 65_536, 1
    notes = write_ome_tiff(tmp_path / "a.ome.tif", scene(labels))
    assert "ids up to 65536 need 32 bits" in notes[1]
    with rasterio.open(tmp_path / "a.ome.tif") as judge:
        assert judge.dtypes == ("uint32",)
        np.testing.assert_array_equal(judge.read(1), labels)
    labels[labels > 1] = 65_535
    write_ome_tiff(tmp_path / "a.ome.tif", scene(labels))
    assert tifffile.imread(tmp_path / "a.ome.tif").dtype == np.uint16


# -- OME-Zarr ------------------------------------------------------------------------------


def _valid(path: Path) -> Any:
    """The store's metadata, once the validator has looked at them and at the arrays."""
    yaozarrs = pytest.importorskip("yaozarrs")
    return yaozarrs.validate_zarr_store(str(path)).ome_metadata()


def _tall_labels() -> AnyArray:
    labels = np.zeros((1301, 700), np.uint32)
    labels[:61, :83] = scene_labels()
    labels[1000:, 400:] = 70_000
    return labels


def test_ome_zarr_labels_of_their_own(tmp_path: Path) -> None:
    path, labels = tmp_path / "a.ome.zarr", _tall_labels()
    write_ome_zarr(path, _sized(scene(labels), (0.25, 0.5), "um"))
    ome = _valid(path)
    group: Any = zarr.open_group(str(path), mode="r")
    np.testing.assert_array_equal(group["0"][:], labels)
    np.testing.assert_array_equal(group["1"][:], labels[::2, ::2])
    np.testing.assert_array_equal(group["2"][:], labels[::4, ::4])
    assert "3" not in group
    multiscale = ome.multiscales[0]
    assert [(axis.name, axis.unit) for axis in multiscale.axes] == [
        ("y", "micrometer"), ("x", "micrometer")
    ]  # fmt: skip
    scales = [list(entry.coordinateTransformations[0].scale) for entry in multiscale.datasets]
    assert scales == [[0.25, 0.5], [0.5, 1.0], [1.0, 2.0]]
    colors = {one.label_value: tuple(one.rgba) for one in ome.image_label.colors}
    assert colors[7] == (*scene().classes.get(2).color, 255)
    entry = dict(group.attrs)["ome"]["image-label"]["properties"][0]
    assert (entry["label-value"], entry["class"], entry["name"]) == (3, "cell", "object 3")
    with open_raster(path) as raster:
        assert [level.shape for level in raster.levels] == [(1301, 700), (651, 350), (326, 175)]


def test_ome_zarr_writes_no_empty_chunks(tmp_path: Path) -> None:
    labels = np.zeros((2000, 2000), np.uint32)
    labels[1990:, 1990:] = 1
    write_ome_zarr(tmp_path / "a.zarr", scene(labels))
    chunks = [str(p.relative_to(tmp_path / "a.zarr")) for p in (tmp_path / "a.zarr").rglob("c/*/*")]
    assert sorted(chunks) == ["0/c/3/3", "1/c/1/1", "2/c/0/0"]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An OME-Zarr image: channels, z, two levels, the second rounded down."""
    path = tmp_path / "image.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    axes = [{"name": "c", "type": "channel"}] + [
        {"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"
    ]
    datasets = []
    for number, (rows, columns) in enumerate([(61, 83), (30, 41)]):
        group.create_array(
            str(number), shape=(2, 3, rows, columns), dtype="uint16", dimension_names=list("czyx")
        )
        scale = [1, 2.0, 0.25 * 2**number, 0.5 * 2**number]
        steps = [{"type": "scale", "scale": scale}]
        datasets.append({"path": str(number), "coordinateTransformations": steps})
    multiscale: Any = {"name": "image", "axes": axes, "datasets": datasets}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}
    return path


@pytest.mark.parametrize("name", ["objects", "nuclei"])
def test_ome_zarr_labels_inside_their_image(image: Path, name: str) -> None:
    target = image if name == "objects" else image / "labels" / name
    report = export("ome_zarr", target, [_on_plane(scene(), 2, None, None)])
    assert report.paths == (target,)
    _valid(image)
    ome = _valid(image / "labels" / name)
    group: Any = zarr.open_group(str(image), mode="r")
    assert dict(group["labels"].attrs)["ome"]["labels"] == [name]
    found = group[f"labels/{name}/0"]
    assert found.shape == (3, 61, 83)
    np.testing.assert_array_equal(found[2], scene_labels())
    assert not found[:2].any()
    np.testing.assert_array_equal(group[f"labels/{name}/1"][2], scene_labels()[:60:2, :82:2])
    assert ome.image_label.source.image == "../../"
    multiscale = ome.multiscales[0]
    assert [axis.name for axis in multiscale.axes] == ["z", "y", "x"]
    assert list(multiscale.datasets[1].coordinateTransformations[0].scale) == [2.0, 0.5, 1.0]


def test_ome_zarr_labels_are_replaced_and_joined_by_others(image: Path) -> None:
    export("ome_zarr", image, [scene()])
    only = replace(scene(), objects=scene().objects[:1])
    export("ome_zarr", image, [only])
    export("ome_zarr", image / "labels" / "second", [scene()])
    _valid(image)
    group: Any = zarr.open_group(str(image), mode="r")
    assert dict(group["labels"].attrs)["ome"]["labels"] == ["objects", "second"]
    assert set(np.unique(group["labels/objects/0"][:])) == {0, 3}


def test_ome_zarr_refuses_what_is_not_its_own(tmp_path: Path, image: Path) -> None:
    (tmp_path / "notes.zarr").mkdir()
    with pytest.raises(ExportError, match="a new folder, or labels written by napari-edgeflow"):
        write_ome_zarr(tmp_path / "notes.zarr", scene())
    with pytest.raises(ExportError, match=r"20 × 30 px, got one of 61 × 83 px"):
        write_ome_zarr(image, scene(np.ones((20, 30), np.uint32)))
    group = zarr.open_group(str(image), mode="r+")
    group.attrs["ome"] = {"version": "0.6"}
    with pytest.raises(ExportError, match=r"OME-Zarr 0\.5 image"):
        write_ome_zarr(image, scene())
    assert not (image / "labels").exists()


def test_a_cancelled_ome_zarr_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    write_ome_zarr(path, scene())
    with pytest.raises(Cancelled):
        write_ome_zarr(path, scene(_tall_labels()), ExportRun(should_stop=lambda: True))
    group: Any = zarr.open_group(str(path), mode="r")
    np.testing.assert_array_equal(group["0"][:], scene_labels())
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]
