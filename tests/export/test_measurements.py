"""The table of measurements, against scikit-image, closed forms and the ellipsoid."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from skimage.measure import perimeter_crofton, regionprops
from tests.export.scenes import PLACE, scene, scene_labels

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.annotation.objects import AnnotationSet, ObjectRecord
from napari_edgeflow.export import measure
from napari_edgeflow.export.geo import object_shape
from napari_edgeflow.export.measure import Frame, measure_object
from napari_edgeflow.export.measurements import write_measurements
from napari_edgeflow.raster.details import BandInfo, Details
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.place import MapPlace

Rows = list[dict[str, str]]


def _read(path: Path) -> Rows:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _written(path: Path, *sets: AnnotationSet) -> Rows:
    write_measurements(path / "a.csv", sets)
    return _read(path / "a.csv")


def _sized(annotated: AnnotationSet, size: tuple[float, float], unit: str) -> AnnotationSet:
    return replace(annotated, image=replace(annotated.image, pixel_size_yx=size, unit=unit))


def test_sizes_are_those_of_scikit_image(tmp_path: Path) -> None:
    labels = scene_labels()
    rows = _written(tmp_path, scene())
    regions = regionprops(labels.astype(int))  # type: ignore[no-untyped-call, unused-ignore]
    for row, region in zip(rows, regions, strict=True):
        assert (int(row["id"]), int(row["area_px"])) == (region.label, region.area)
        centre = float(row["centroid_y_px"]), float(row["centroid_x_px"])
        np.testing.assert_allclose(centre, region.centroid)
        box = [int(row[f"box_{side}_px"]) for side in ("y0", "x0", "y1", "x1")]
        assert box == list(region.bbox)
        mask = np.pad(labels == region.label, 2)
        perimeter = perimeter_crofton(mask, 4)  # type: ignore[no-untyped-call, unused-ignore]
        assert float(row["perimeter_px"]) == pytest.approx(perimeter)
    assert [row["class"] for row in rows] == ["cell", "débris & dust"] * 2
    assert [row["name"] for row in rows] == [f"object {row['id']}" for row in rows]
    assert not any(name.endswith(("_um", "_um2", "_m2", "_mean")) for name in rows[0])


def test_pieces_make_the_same_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raster = ArrayRaster([np.arange(61 * 83).reshape(61, 83) % 251])
    annotated = replace(scene(), raster=raster)
    (tmp_path / "1").mkdir()
    whole = _written(tmp_path / "1", annotated)
    monkeypatch.setattr(measure, "_SIDE", 7)
    for a, b in zip(whole, _written(tmp_path, annotated), strict=True):
        for name, value in a.items():
            if name in ("image", "name", "class"):
                assert b[name] == value
            else:
                assert float(b[name]) == pytest.approx(float(value), rel=1e-12)


def test_brightness_is_that_of_the_pixels_inside(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    pixels = rng.normal(1e6, 3, (61, 83, 6)).astype(np.float64)
    pixels[:, :, 1] += 5
    pixels[20, 30, 0] = np.nan
    bands = [BandInfo("DAPI"), BandInfo(colour="red"), BandInfo(), BandInfo("x"), BandInfo("x")]
    details = Details(bands=(*bands, BandInfo("mask", "alpha")))
    pixels[:, :, 5] = 1
    annotated = replace(scene(), raster=ArrayRaster([pixels], axes="YXS", details=details))
    rows = _written(tmp_path, annotated)
    names = ["DAPI", "red", "band_3", "x_4", "x_5"]
    for row in rows:
        inside = scene_labels() == int(row["id"])
        for number, name in enumerate(names):
            values = pixels[inside, number]
            values = values[np.isfinite(values)]
            expected = values.mean(), values.min(), values.max(), values.std()
            found = [float(row[f"{name}_{word}"]) for word in ("mean", "min", "max", "std")]
            np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert not any(name.startswith("mask") for name in rows[0])


def test_missing_values_do_not_count(tmp_path: Path) -> None:
    pixels = np.full((61, 83), 7, np.uint8)
    pixels[:, 30:] = 255
    details = Details(nodata=255)
    annotated = replace(scene(), raster=ArrayRaster([pixels], details=details))
    rows = {int(row["id"]): row for row in _written(tmp_path, annotated)}
    assert float(rows[3]["intensity_max"]) == 7
    assert rows[12]["intensity_mean"] == ""  # no pixel of it shows anything


def test_units_of_length(tmp_path: Path) -> None:
    rows = _written(tmp_path, _sized(scene(), (0.5, 0.5), "µm"))
    for row in rows:
        assert float(row["area_um2"]) == pytest.approx(int(row["area_px"]) * 0.25)
        assert float(row["perimeter_um"]) == pytest.approx(float(row["perimeter_px"]) * 0.5)
        assert float(row["centroid_y_um"]) == pytest.approx(float(row["centroid_y_px"]) * 0.5)
    for unit in ("pixel", ""):
        assert "area_um2" not in _written(tmp_path, _sized(scene(), (0.5, 0.5), unit))[0]


def _disc(shape: tuple[int, int], radii: tuple[float, float]) -> AnyArray:
    y, x = np.ogrid[: shape[0], : shape[1]]
    inside = ((y - shape[0] / 2) / radii[0]) ** 2 + ((x - shape[1] / 2) / radii[1]) ** 2 < 1
    return inside.astype(np.uint32)


@pytest.mark.parametrize(
    "frame",
    [Frame((0, 1.0), (1.0, 0)), Frame((0, 2.0), (1.0, 0)), Frame((0.6, 0.8), (-0.8, 0.6)),
     Frame((0, -3.0), (1.5, 0))],
)  # fmt: skip
def test_the_perimeter_of_a_disc_with_any_pixels(frame: Frame) -> None:
    radius = 90.0
    height, width = np.hypot(*frame.down), np.hypot(*frame.right)
    labels = _disc((420, 420), (radius / height, radius / width))
    record = ObjectRecord(1, 1, Window(0, 0, 420, 420), 1)
    size = measure_object(scene(labels), record, None)
    assert size.perimeter(frame) == pytest.approx(2 * np.pi * radius, rel=0.02)
    assert size.area_px * frame.pixel_area == pytest.approx(np.pi * radius**2, rel=0.01)


@pytest.mark.parametrize(
    ("crs", "affine"),
    [
        ("EPSG:32631", (0.4, 0.3, 500000.1, 0.3, -0.4, 4600000.7)),
        ("EPSG:4326", (1e-5, 0, 30.123456789, 0, -1.1e-5, 50.987654321)),
        ("EPSG:3857", (0.0746, 0, 3627854.2364710346, 0, -0.0746, 8039135.758482)),
        ("EPSG:2263", (1.5, 0, 980000.0, 0, -1.5, 200000.0)),  # in feet
    ],
)
def test_metres_on_the_map(
    tmp_path: Path, crs: str, affine: tuple[float, float, float, float, float, float]
) -> None:
    place = MapPlace(affine, rasterio.CRS.from_string(crs).to_wkt())
    annotated = scene(_disc((200, 200), (70, 70)), place=place)
    (row,) = _written(tmp_path, annotated)
    # an equal-area projection centred there, by PROJ
    x, y = float(row["centroid_map_x"]), float(row["centroid_map_y"])
    to_degrees = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    longitude, latitude = to_degrees.transform(x, y)
    local = f"+proj=laea +lat_0={latitude} +lon_0={longitude} +ellps=WGS84"
    shape = object_shape(annotated, annotated.objects[0], place)
    to_local = pyproj.Transformer.from_crs(crs, local, always_xy=True).transform
    flat = shapely.transform(shape, to_local, interleaved=False)
    # UTM and state planes measure in their own metres, up to 0.4 ‰ (squared) off the ground's
    assert float(row["area_m2"]) == pytest.approx(flat.area, rel=1e-3)
    around = shapely.transform(shape.convex_hull, to_local, interleaved=False).length
    assert float(row["perimeter_m"]) == pytest.approx(around, rel=0.05)
    centre = shape.centroid
    np.testing.assert_allclose((x, y), (centre.x, centre.y), rtol=1e-9)


def test_a_map_without_a_unit_of_length_has_no_metres(tmp_path: Path) -> None:
    """A site plan in its own system: the file's pixel size in µm is not in metres."""
    place = MapPlace((0.5, 0, 10, 0, -0.5, 90), 'LOCAL_CS["site plan"]')
    (row, *_) = _written(tmp_path, _sized(scene(place=place), (2, 2), "um"))
    assert "centroid_map_x" in row
    assert not [name for name in row if name.endswith(("_m", "_m2", "_um2"))]


def test_many_images_and_planes_in_one_table(tmp_path: Path) -> None:
    stack = scene(name="stack.tif")
    stack = replace(stack, objects=tuple(replace(r, plane=(9, None, None)) for r in stack.objects))
    placed = scene(name="map.tif", place=PLACE)
    rows = _written(tmp_path, _sized(scene(), (2, 2), "nm"), stack, placed)
    assert [row["image"] for row in rows] == [
        *["images/plate one.tif"] * 4, *["stack.tif"] * 4, *["map.tif"] * 4
    ]  # fmt: skip
    assert [row["z"] for row in rows] == [*[""] * 4, *["9"] * 4, *[""] * 4]
    assert [bool(row["area_nm2"]) for row in rows] == [*[True] * 4, *[False] * 8]
    assert [bool(row["area_m2"]) for row in rows] == [*[False] * 8, *[True] * 4]


def test_notes_and_an_empty_table(tmp_path: Path) -> None:
    notes = write_measurements(tmp_path / "a.csv", [scene()])
    assert notes == (
        "outlines are not in a table",
        "without the image there are no intensities",
        "without a pixel size there are pixels only",
    )
    write_measurements(tmp_path / "a.csv", [scene(np.zeros((4, 5), np.uint32))])
    assert _read(tmp_path / "a.csv") == []
