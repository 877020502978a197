"""All formats by name: files, folders, notes, and what happens when something is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.export.scenes import PLACE, Picture, scene

from napari_edgeflow.errors import Cancelled, ExportError
from napari_edgeflow.export.formats import FORMATS, export

RGB = Picture(np.full((61, 83, 3), 77, np.uint8))


@pytest.mark.parametrize("name", FORMATS)
def test_one_image(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"out{FORMATS[name].suffix}"
    report = export(name, path, [scene(pixels=RGB, place=PLACE)])
    assert report.paths == (path,)
    assert path.is_dir() == (FORMATS[name].suffix in ("", ".ome.zarr"))
    assert all(note and not note.endswith(".") for note in report.notes)
    assert not [p for p in tmp_path.rglob("*") if p.name.endswith(".tmp")]
    assert FORMATS[name].title
    assert FORMATS[name].cannot_hold


@pytest.mark.parametrize("name", [n for n, f in FORMATS.items() if f.write_image is not None])
def test_many_images_go_into_a_folder(tmp_path: Path, name: str) -> None:
    sets = [scene(pixels=RGB, place=PLACE), scene(name="b.tif", pixels=RGB, place=PLACE)]
    report = export(name, tmp_path / "out", sets)
    suffix = FORMATS[name].suffix
    assert [path.name for path in report.paths] == [f"plate one{suffix}", f"b{suffix}"]
    extra = {".shx", ".dbf", ".prj", ".cpg", ".qml"}
    written = [path for path in (tmp_path / "out").iterdir() if path.suffix not in extra]
    assert sorted(report.paths) == sorted(written)
    assert len(set(report.notes)) == len(report.notes)
    with pytest.raises(ExportError, match="a folder for 2 images, got the file"):
        export(name, tmp_path / f"a{suffix}", sets)


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a format \(label_tiff, .*label_cog\), got 'bmp'"):
        export("bmp", tmp_path, [scene()])
    with pytest.raises(ExportError, match="got none; finish an object first"):
        export("coco", tmp_path / "a.json", [])
    with pytest.raises(ExportError, match=r"ending in .json, got 'a.txt'"):
        export("coco", tmp_path / "a.txt", [scene()])
    with pytest.raises(ExportError, match="missing is none; make it first"):
        export("coco", tmp_path / "missing" / "a.json", [scene()])
    with pytest.raises(ExportError, match="missing is none; make it first"):
        export("label_png", tmp_path / "missing" / "a.png", [scene()])
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match="a folder for PASCAL VOC"):
        export("voc", tmp_path / "file", [scene()])
    with pytest.raises(ExportError, match="choose another place"):
        export("yolo", tmp_path / "file" / "below", [scene()])
    for name in (name for name, form in FORMATS.items() if "place" in form.needs):
        with pytest.raises(ExportError, match="a place on the map, but images/plate one"):
            export(name, tmp_path / f"a{FORMATS[name].suffix}", [scene()])
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_options_are_checked_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"QuPath objects .* has object-type, tolerance, got 'x'"):
        export("qupath", tmp_path / "a.geojson", [scene()], options={"x": 1})
    with pytest.raises(ValueError, match=r"has no options, got 'tolerance'; leave it out"):
        export("label_png", tmp_path / "a.png", [scene()], options={"tolerance": 1})
    for value in ("-1", "nan", "inf", "wide"):
        with pytest.raises(ValueError, match=f"tolerance to be a number ≥ 0, got '{value}'"):
            export("qupath", tmp_path / "a.geojson", [scene()], options={"tolerance": value})
    with pytest.raises(ValueError, match=r"version to be one of 5\.3, 5\.0, got '4'"):
        export("labelme", tmp_path / "a.json", [scene()], options={"version": "4"})
    assert list(tmp_path.iterdir()) == []


def test_every_option_is_explained() -> None:
    for form in FORMATS.values():
        for option in form.options:
            assert option.read(option.default) == option.default
            assert option.title
            assert len(option.summary) > 20
            assert not option.choices or option.default in option.choices


@pytest.mark.parametrize("name", FORMATS)
def test_progress_rises_to_the_end(tmp_path: Path, name: str) -> None:
    sets = [scene(pixels=RGB, place=PLACE), scene(name="b.tif", pixels=RGB, place=PLACE)]
    shares: list[float] = []
    path = tmp_path / "out"
    if FORMATS[name].write_series is not None and FORMATS[name].suffix:
        path = tmp_path / f"out{FORMATS[name].suffix}"
    export(name, path, sets, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert any(0 < share < 1 for share in shares)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("at", ["first", "last"])
def test_a_cancelled_export_leaves_nothing(tmp_path: Path, name: str, at: str) -> None:
    path = tmp_path / f"out{FORMATS[name].suffix}"
    given = [scene(pixels=RGB, place=PLACE)]
    asked: list[bool] = []

    def go_on() -> bool:
        asked.append(False)
        return False

    if at == "last":  # what was there before stays
        export(name, path, given, should_stop=go_on)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    answers = iter(asked[1:])
    with pytest.raises(Cancelled, match="cancelled"):
        export(name, path, given, should_stop=lambda: next(answers, True))
    after = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert after == before
    assert [p for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("name", FORMATS)
def test_a_disk_that_refuses_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(ExportError, match=r"No space left .*free some space") as refusal:
        export(name, tmp_path / f"out{FORMATS[name].suffix}", [scene(pixels=RGB, place=PLACE)])
    assert ".tmp" not in str(refusal.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
