"""Map exports, read again by GDAL, json and shapely: place, shapes, attributes, sizes."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyogrio
import pyproj
import pytest
import rasterio
import rasterio.features
import shapely

from napari_edgeflow._types import AnyArray, Click, Window
from napari_edgeflow.annotation.classes import ClassList, ObjectClass
from napari_edgeflow.annotation.objects import (
    AnnotationSet,
    ImageInfo,
    ObjectRecord,
    measure_labels,
)
from napari_edgeflow.errors import Cancelled, ExportError
from napari_edgeflow.export.formats import export
from napari_edgeflow.export.geo import object_shape, write_map_objects
from napari_edgeflow.export.geo_import import read_map_features
from napari_edgeflow.export.geo_raster import write_label_cog
from napari_edgeflow.raster.place import MapPlace, read_place
from napari_edgeflow.vector.coverage import coverage_faults, simplify_coverage

PLACES = {
    "utm": ("EPSG:32616", (0.5, 0, 733601.25, 0, -0.5, 3725139.75)),
    "degrees": ("EPSG:4326", (1e-5, 0, 30.123456789, 0, -1.1e-5, 50.987654321)),
    "rotated": ("EPSG:32631", (0.4, 0.3, 500000.1, 0.3, -0.4, 4600000.7)),
    "mercator": ("EPSG:3857", (0.0746, 0, 3627854.2364710346, 0, -0.0746, 8039135.758482)),
}


class _Array:
    """Labels in memory that notes the largest window read."""

    def __init__(self, labels: AnyArray) -> None:
        self.labels, self.largest = labels.astype(np.uint32), 0

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.labels.shape
        return rows, columns

    def read(self, window: Window) -> Any:
        self.largest = max(self.largest, window.height * window.width)
        return self.labels[window.slices].copy()


def _labels() -> AnyArray:
    """A roof with a hole, a neighbour that ends half-way, one in two parts, one in the corner."""
    labels = np.zeros((70, 90), int)
    labels[10:40, 10:50] = 1
    labels[20:25, 20:31] = 0
    labels[40:55, 20:35] = 2
    labels[40:50, 35:60] = 70_000
    labels[60:64, 60:70] = 70_000
    labels[69, 89] = 5
    return labels


def _place(name: str) -> MapPlace:
    crs, affine = PLACES[name]
    return MapPlace(affine, rasterio.CRS.from_user_input(crs).to_wkt())


def _annotations(labels: AnyArray) -> AnnotationSet:
    reader = _Array(labels)
    classes = ClassList(
        (ObjectClass(1, "toit rouge", (230, 10, 0)), ObjectClass(2, "屋根", (0, 9, 8)))
    )
    clicks = (Click(12, 12), Click(13, 30), Click(0, 0, False))
    records = tuple(
        ObjectRecord(
            label, 1 + label % 2, box, area, clicks=clicks if label == 1 else (),
            model="edgeflow-18s", created="2026-11-20T16:00:00Z",
        )
        for label, (box, area) in measure_labels(reader).items()
    )  # fmt: skip
    return AnnotationSet(ImageInfo("roofs.tif", labels.shape), classes, records, reader)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, list[Any]], AnyArray]:
    meta, _, geometry, columns = pyogrio.raw.read(path)
    table = {str(n): list(c) for n, c in zip(meta["fields"], columns, strict=True)}
    return meta, table, shapely.from_wkb(geometry)


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson"])
@pytest.mark.parametrize("name", PLACES)
def test_shapes_lie_on_their_pixels(tmp_path: Path, name: str, suffix: str) -> None:
    labels, place = _labels(), _place(name)
    path = tmp_path / f"objects{suffix}"
    write_map_objects(path, _annotations(labels), place)
    meta, table, shapes = _read(path)
    crs = rasterio.CRS.from_wkt(place.crs_wkt)
    if suffix == ".geojson":
        to_crs = pyproj.Transformer.from_crs("EPSG:4326", place.crs_wkt, always_xy=True)
        shapes = shapely.transform(shapes, to_crs.transform, interleaved=False)
    else:
        assert rasterio.CRS.from_user_input(meta["crs"]) == crs
    assert table["id"] == [1, 2, 5, 70_000]
    # GDAL burns the shapes into a raster of that place: the same pixels
    burnt = rasterio.features.rasterize(
        zip(shapes, table["id"], strict=True), labels.shape,
        transform=rasterio.Affine(*place.affine), dtype=np.int32,
    )  # fmt: skip
    np.testing.assert_array_equal(burnt, labels)
    # and their corners are the pixels' corners, to a millionth of a pixel
    pixels = place.to_pixels(shapely.get_coordinates(shapes)) + 0.5
    assert np.abs(pixels - pixels.round()).max() < 1e-6
    assert shapely.is_valid(shapes).all()
    assert sum(len(p.interiors) for p in shapely.get_parts(shapes)) == 1


def test_attributes(tmp_path: Path) -> None:
    path = tmp_path / "objects.gpkg"
    assert write_map_objects(path, _annotations(_labels()), _place("utm")) == ()
    _, table, shapes = _read(path)
    assert list(table) == ["id", "class", "area_m2", "perimeter_m", "n_positive", "n_negative",
                           "model", "timestamp"]  # fmt: skip
    assert table["class"] == ["屋根", "toit rouge", "屋根", "toit rouge"]
    assert (table["n_positive"], table["n_negative"]) == ([2, 0, 0, 0], [1, 0, 0, 0])
    assert set(table["model"]) == {"edgeflow-18s"}
    assert set(table["timestamp"]) == {"2026-11-20T16:00:00Z"}
    np.testing.assert_allclose(table["area_m2"], [a.area for a in shapes])
    np.testing.assert_allclose(table["area_m2"][0], (30 * 40 - 55) * 0.25)
    np.testing.assert_allclose(table["perimeter_m"][0], (140 + 32) * 0.5)
    assert {kind.geom_type for kind in shapes} == {"MultiPolygon"}


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson"])
@pytest.mark.parametrize("tolerance", [0.0, 1.0])
def test_batches_give_the_same_table_in_the_same_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, tolerance: float
) -> None:
    """A lone object lies between two that touch; one record has no pixels."""
    labels = np.kron(np.array([[1, 3, 0, 2, 0, 1], [3, 3, 0, 0, 0, 4]]), np.ones((9, 12), int))
    y, x = np.nonzero(labels)
    labels[y, x] *= (y * x) % 7 > 0
    annotations = _annotations(labels)
    gone = ObjectRecord(5, 1, Window(0, 40, 3, 44), 0)
    annotations = replace(annotations, objects=(*annotations.objects, gone))
    place = _place("rotated")
    write_map_objects(tmp_path / f"a{suffix}", annotations, place, tolerance=tolerance)
    monkeypatch.setattr("napari_edgeflow.export.geo._BATCH_BYTES", 1)
    write_map_objects(tmp_path / f"b{suffix}", annotations, place, tolerance=tolerance)
    _, one, shapes = _read(tmp_path / f"a{suffix}")
    _, two, others = _read(tmp_path / f"b{suffix}")
    assert one == two
    assert one["id"] == [1, 2, 3, 4]
    assert shapely.equals_exact(shapes, others, 0).all()
    if suffix == ".gpkg":
        exact = [object_shape(annotations, record, place) for record in annotations.objects[:4]]
        oracle = simplify_coverage(exact, tolerance) if tolerance else exact
        same = shapely.equals_exact(shapely.normalize(oracle), shapely.normalize(shapes), 0)
        assert same.all()


@pytest.mark.parametrize("name", ["degrees", "mercator"])
def test_sizes_on_the_ellipsoid(tmp_path: Path, name: str) -> None:
    path = tmp_path / "objects.gpkg"
    place = _place(name)
    write_map_objects(path, _annotations(_labels()), place)
    _, table, shapes = _read(path)
    # an equal-area projection centred there, and PROJ's own sum over the rings
    x, y = shapely.get_coordinates(shapes).mean(axis=0)
    to_degrees = pyproj.Transformer.from_crs(place.crs_wkt, "EPSG:4326", always_xy=True)
    longitude, latitude = to_degrees.transform(x, y)
    local = f"+proj=laea +lat_0={latitude} +lon_0={longitude} +ellps=WGS84"
    project = pyproj.Transformer.from_crs(place.crs_wkt, local, always_xy=True).transform
    flat = shapely.transform(shapes, project, interleaved=False)
    np.testing.assert_allclose(table["area_m2"], shapely.area(flat), rtol=1e-5)
    np.testing.assert_allclose(table["perimeter_m"], shapely.length(flat), rtol=1e-5)


def test_geojson_follows_the_rfc(tmp_path: Path) -> None:
    path = tmp_path / "objects.geojson"
    (note,) = write_map_objects(path, _annotations(_labels()), _place("utm"))
    assert "longitude and latitude" in note
    document = json.loads(path.read_text())
    assert "crs" not in document
    for feature in document["features"]:
        for exterior, *holes in feature["geometry"]["coordinates"]:
            assert shapely.LinearRing(exterior).is_ccw  # the right-hand rule
            assert not any(shapely.LinearRing(hole).is_ccw for hole in holes)
            assert all(-180 <= x <= 180 and -90 <= y <= 90 for x, y in exterior)
    assert document["features"][0]["properties"]["class"] == "屋根"


def test_shapefile_says_which_names_it_cuts(tmp_path: Path) -> None:
    notes = write_map_objects(tmp_path / "a.shp", _annotations(_labels()), _place("utm"))
    assert "perimeter_m is perim_m" in notes[0]
    assert "perim_m" in _read(tmp_path / "a.shp")[1]
    assert {p.suffix for p in tmp_path.iterdir()} == {
        ".shp",
        ".shx",
        ".dbf",
        ".prj",
        ".cpg",
        ".qml",
    }


def test_simplified_together_in_map_units(tmp_path: Path) -> None:
    rows, columns = np.indices((70, 90))
    labels = 1 + (rows + 5 * np.sin(columns / 7) > 35) + 2 * (columns + 5 * np.sin(rows / 9) > 45)
    place = _place("rotated")
    write_map_objects(tmp_path / "a.gpkg", _annotations(labels), place)
    write_map_objects(tmp_path / "b.gpkg", _annotations(labels), place, tolerance=1.0)
    exact, simple = _read(tmp_path / "a.gpkg")[2], _read(tmp_path / "b.gpkg")[2]
    faults = coverage_faults(list(simple))
    assert (faults.invalid, faults.mismatched) == (0, 0)
    assert faults.overlap_area < 1e-9
    assert (
        shapely.get_num_coordinates(simple).sum() < 0.5 * shapely.get_num_coordinates(exact).sum()
    )
    assert shapely.union_all(simple).area == pytest.approx(shapely.union_all(exact).area, rel=0.01)


def test_without_a_place_or_a_crs(tmp_path: Path) -> None:
    annotations = _annotations(_labels())
    with pytest.raises(ExportError, match=r"roofs\.tif has none; open the georeferenced"):
        write_map_objects(tmp_path / "a.gpkg", annotations, None)
    lone = MapPlace((2, 0, 100, 0, -2, 200))
    with pytest.raises(ExportError, match="an affine alone; export a GeoPackage"):
        write_map_objects(tmp_path / "a.geojson", annotations, lone)
    notes = write_map_objects(tmp_path / "a.gpkg", annotations, lone)
    assert "no CRS" in notes[0]
    _, table, shapes = _read(tmp_path / "a.gpkg")
    assert np.isnan(table["area_m2"]).all()
    assert shapes[0].area == (30 * 40 - 55) * 4
    with pytest.raises(ExportError, match=r"ending in \.gpkg"):
        write_map_objects(tmp_path / "a.kml", annotations, lone)
    with pytest.raises(ExportError, match="expected to write"):
        write_map_objects(tmp_path / "missing" / "a.gpkg", annotations, lone)


@pytest.mark.parametrize("kind", ["DataSourceError", "FeatureError"])
def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / "a.gpkg"
    write_map_objects(path, _annotations(_labels()), _place("utm"))
    before = path.read_bytes()

    def refuse(*args: Any, **options: Any) -> None:
        raise getattr(pyogrio.errors, kind)("disk full")

    monkeypatch.setattr(pyogrio.raw, "write", refuse)
    with pytest.raises(ExportError, match="disk full"):
        write_map_objects(path, _annotations(_labels()), _place("utm"))
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.gpkg", "a.qml"]


def test_the_style_names_every_class(tmp_path: Path) -> None:
    write_map_objects(tmp_path / "a.gpkg", _annotations(_labels()), _place("utm"))
    root = ElementTree.parse(tmp_path / "a.qml").getroot()
    renderer = root.find("renderer-v2")
    assert renderer is not None
    assert (renderer.get("type"), renderer.get("attr")) == ("categorizedSymbol", "class")
    symbols = {s.get("name"): s for s in renderer.iter("symbol")}
    colours = {}
    for category in renderer.iter("category"):
        options = {
            o.get("name"): o.get("value") for o in symbols[category.get("symbol")].iter("Option")
        }
        colours[category.get("value")] = options["outline_color"]
    assert colours == {"toit rouge": "230,10,0,255", "屋根": "0,9,8,255"}


@pytest.mark.parametrize("name", [*PLACES, None])
def test_label_cog(tmp_path: Path, name: str | None) -> None:
    labels = np.zeros((1500, 1301), np.uint32)
    labels[1000:1499, 3:900] = 70_000
    labels[-1, -1] = 5
    reader, place = _Array(labels), None if name is None else _place(name)
    path = tmp_path / "labels.tif"
    shares: list[float] = []
    write_label_cog(path, reader, place, highest_id=70_000, progress=shares.append)
    assert shares[-1] == 1
    if place is None:
        return
    with rasterio.open(path) as judge:
        np.testing.assert_array_equal(judge.read(1), labels)
        assert tuple(judge.transform)[:6] == place.affine
        assert judge.crs == rasterio.CRS.from_wkt(place.crs_wkt)
        assert (judge.tags(ns="IMAGE_STRUCTURE")["LAYOUT"], judge.dtypes[0]) == ("COG", "uint32")
        assert judge.overviews(1) == [2, 4]
    with rasterio.open(path, overview_level=0) as judge:
        assert set(np.unique(judge.read(1))) <= {0, 5, 70_000}
    assert read_place(path) == place


def test_label_cog_of_a_huge_raster_needs_little_memory(tmp_path: Path) -> None:
    class Huge:
        shape = (16_000, 16_000)

        def read(self, window: Window) -> Any:
            part = np.zeros(window.shape, np.uint32)
            part[::997, ::991] = 1 if window.y0 == 0 else 0
            return part

    tracemalloc.start()
    write_label_cog(tmp_path / "a.tif", Huge(), _place("utm"), highest_id=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**26
    assert (tmp_path / "a.tif").stat().st_size < 2**22


def test_label_cog_stops_and_refuses(tmp_path: Path) -> None:
    reader = _Array(_labels())
    with pytest.raises(Cancelled):
        write_label_cog(
            tmp_path / "a.tif", reader, None, highest_id=70_000, should_stop=lambda: True
        )
    with pytest.raises(ExportError, match="ids up to 255"):
        write_label_cog(tmp_path / "a.tif", reader, None, highest_id=255)
    with pytest.raises(ExportError, match="number them anew"):
        write_label_cog(tmp_path / "a.tif", reader, None, highest_id=2**32)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".shp"])
@pytest.mark.parametrize("name", PLACES)
def test_what_was_written_comes_back(tmp_path: Path, name: str, suffix: str) -> None:
    labels, place = _labels(), _place(name)
    path = tmp_path / f"objects{suffix}"
    write_map_objects(path, _annotations(labels), place)
    imported = read_map_features(path, place, labels.shape)
    assert imported.notes == ()
    found = np.zeros_like(labels)
    for feature in imported.features:
        placed = feature.mask()
        assert placed is not None
        window, mask = placed
        label = feature.attributes["id"]
        found[window.slices][mask] = label
        assert feature.group == str(label)
        (click,) = feature.prompt()
        assert labels[click.pixel] == label
    np.testing.assert_array_equal(found, labels)


def test_points_become_clicks(tmp_path: Path) -> None:
    place = _place("utm")
    xy = place.to_map(np.array([[0, 0], [69, 89], [12.25, 30.75], [70, 5], [-0.6, 3]]))
    to_degrees = pyproj.Transformer.from_crs(place.crs_wkt, "EPSG:4326", always_xy=True)
    features = [
        {
            "type": "Feature",
            "properties": {"group": 1 + number // 2, "is_positive": number != 1},
            "geometry": {"type": "Point", "coordinates": to_degrees.transform(*point)},
        }
        for number, point in enumerate(xy)
    ]
    path = tmp_path / "points.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    imported = read_map_features(path, place, (70, 90))
    assert "2 features outside" in imported.notes[0]
    clicks = [click for feature in imported.features for click in feature.clicks]
    np.testing.assert_allclose(
        np.array([(c.y, c.x) for c in clicks]),
        np.array([[0, 0], [69, 89], [12.25, 30.75]]),
        atol=1e-4,
    )
    assert [click.is_positive for click in clicks] == [True, False, True]
    assert [feature.group for feature in imported.features] == ["1", "1", "2"]


def test_polygons_are_cut_to_the_raster_and_made_valid(tmp_path: Path) -> None:
    place = MapPlace((1, 0, -0.5, 0, 1, -0.5))
    bow = shapely.Polygon([(2, 2), (8, 8), (8, 2), (2, 8)])
    over = shapely.box(5.5, 5.5, 40, 40)
    line = shapely.LineString([(0, 0), (1, 1)])
    with pytest.warns(UserWarning, match="crs"):
        pyogrio.raw.write(
            tmp_path / "a.gpkg",
            geometry=shapely.to_wkb([bow, over, line]), field_data=[], fields=[],
            geometry_type="Unknown", driver="GPKG", crs=None,
        )  # fmt: skip
    imported = read_map_features(tmp_path / "a.gpkg", place, (10, 12))
    assert "1 features" in imported.notes[0]
    window = imported.features[1].mask()
    assert window is not None
    assert window[0] == Window(6, 6, 10, 12)
    assert all(p.to_shapely().is_valid for f in imported.features for p in f.polygons)


def test_files_that_cannot_be_put_on_the_map(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    write_map_objects(path, _annotations(_labels()), _place("utm"))
    with pytest.raises(ExportError, match="a place on the map to put"):
        read_map_features(path, None, (70, 90))
    with pytest.raises(ExportError, match="the image has none; give it one"):
        read_map_features(path, MapPlace((1, 0, 0, 0, 1, 0)), (70, 90))
    (tmp_path / "b.gpkg").write_text("nothing")
    with pytest.raises(ExportError, match="cannot be read"):
        read_map_features(tmp_path / "b.gpkg", _place("utm"), (70, 90))


@pytest.mark.parametrize("name", PLACES)
def test_label_tiffs_have_the_place_of_images_without_geotiff_tags(
    tmp_path: Path, name: str
) -> None:
    labels, place = _labels(), _place(name)
    annotations = _annotations(labels)
    annotations = replace(annotations, image=replace(annotations.image, place=place))
    for kind in ("label_tiff", "class_tiff"):
        report = export(kind, tmp_path / f"{kind}.tif", [annotations])
        assert not any("place" in note for note in report.notes)
        with rasterio.open(tmp_path / f"{kind}.tif") as dataset:
            assert dataset.crs == rasterio.CRS.from_wkt(place.crs_wkt)
            np.testing.assert_allclose(tuple(dataset.transform)[:6], place.affine, rtol=1e-12)
    with rasterio.open(tmp_path / "label_tiff.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1), labels)
    report = export("label_png", tmp_path / "a.png", [_annotations(labels % 256)])
    assert not any("place" in note for note in report.notes)
    small = replace(_annotations(labels % 256), image=annotations.image)
    report = export("label_png", tmp_path / "a.png", [small])
    assert any("place" in note for note in report.notes)


def test_what_lies_beside_a_shapefile_that_was_replaced_goes(tmp_path: Path) -> None:
    path = tmp_path / "a.shp"
    write_map_objects(path, _annotations(_labels()), _place("utm"))
    for suffix in (".qix", ".sbn", ".shp.xml"):
        (tmp_path / f"a{suffix}").write_bytes(b"of the old one")
    write_map_objects(path, _annotations(_labels()), MapPlace((1, 0, 0, 0, -1, 0)))
    left = sorted(file.name for file in tmp_path.iterdir())
    assert left == ["a.cpg", "a.dbf", "a.qml", "a.shp", "a.shp.xml", "a.shx"]
    assert _read(path)[0]["crs"] is None  # not that of the .prj which was there


def test_a_geopackage_with_changes_of_another_program_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    write_map_objects(path, _annotations(_labels()), _place("utm"))
    before = path.read_bytes()
    (tmp_path / "a.gpkg-wal").write_bytes(b"pages")
    with pytest.raises(ExportError, match=r"not to be in use, but a\.gpkg-wal"):
        write_map_objects(path, _annotations(_labels()), _place("utm"))
    assert path.read_bytes() == before
    (tmp_path / "a.gpkg-wal").write_bytes(b"")
    write_map_objects(path, _annotations(_labels()), _place("utm"))


@pytest.mark.parametrize("stem", ["#roofs", "?", "toits d'été", "50%", "a:b", "..."])
@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".shp"])
@pytest.mark.filterwarnings("ignore:The filename extension should be:RuntimeWarning")
def test_files_of_odd_names(tmp_path: Path, stem: str, suffix: str) -> None:
    path = tmp_path / f"{stem}{suffix}"
    write_map_objects(path, _annotations(_labels()), _place("utm"))
    assert path.is_file()
    (tmp_path / f"plain{suffix}").write_bytes(path.read_bytes())
    if suffix != ".shp":  # GDAL itself opens some of these names only when they are plain
        assert _read(tmp_path / f"plain{suffix}")[1]["id"] == [1, 2, 5, 70_000]


def test_the_style_is_one_for_polygons_by_qgis_s_reader(tmp_path: Path) -> None:
    """What its reader asks for: the kind of geometry, categories that name symbols there are."""
    write_map_objects(tmp_path / "a.gpkg", _annotations(_labels()), _place("utm"))
    root = ElementTree.parse(tmp_path / "a.qml").getroot()
    assert (root.tag, root.findtext("layerGeometryType")) == ("qgis", "2")
    renderer = root.find("renderer-v2")
    assert renderer is not None
    assert (renderer.get("type"), renderer.get("attr")) == ("categorizedSymbol", "class")
    symbols = {symbol.get("name"): symbol for symbol in renderer.iterfind("symbols/symbol")}
    used = [one.get("symbol") for one in renderer.iterfind("categories/category")]
    assert sorted(map(str, used)) == sorted(map(str, symbols))
    for symbol in symbols.values():
        assert symbol.get("type") == "fill"
        (layer,) = symbol.findall("layer")
        options = {o.get("name"): o.get("value") for o in layer.iterfind("Option/Option")}
        assert options == {p.get("k"): p.get("v") for p in layer.iterfind("prop")}
        assert str(options["color"]).split(",")[:3] == str(options["outline_color"]).split(",")[:3]


@pytest.mark.parametrize("kind", ["label_tiff", "label_cog"])
def test_overviews_of_a_raster_that_was_replaced_go(tmp_path: Path, kind: str) -> None:
    path, labels = tmp_path / "a.tif", _labels()
    place = _place("rotated")
    image = ImageInfo("roofs.tif", labels.shape, place=place)
    export(kind, path, [replace(_annotations(labels), image=image)])
    for suffix in (".ovr", ".aux.xml"):
        (tmp_path / f"a.tif{suffix}").write_bytes(b"of the old one")
    export(kind, path, [replace(_annotations(labels.T[:, ::-1].T), image=image)])
    assert [file.name for file in tmp_path.iterdir()] == ["a.tif"]
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read(1), labels.T[:, ::-1].T)
        np.testing.assert_allclose(tuple(dataset.transform)[:6], place.affine, rtol=1e-12)
