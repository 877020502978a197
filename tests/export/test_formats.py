"""All formats by name: files, folders, notes, and what happens when something is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.export.scenes import Picture, scene

from napari_edgeflow.errors import ExportError
from napari_edgeflow.export.formats import FORMATS, export

RGB = Picture(np.full((61, 83, 3), 77, np.uint8))


@pytest.mark.parametrize("name", FORMATS)
def test_one_image(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"out{FORMATS[name].suffix}"
    report = export(name, path, [scene(pixels=RGB)])
    assert report.paths == (path,)
    assert path.is_dir() == (not FORMATS[name].suffix)
    assert all(note and not note.endswith(".") for note in report.notes)
    assert not [p for p in tmp_path.rglob("*") if p.name.endswith(".tmp")]
    assert FORMATS[name].title
    assert FORMATS[name].cannot_hold


@pytest.mark.parametrize("name", [n for n, f in FORMATS.items() if f.write_image is not None])
def test_many_images_go_into_a_folder(tmp_path: Path, name: str) -> None:
    sets = [scene(pixels=RGB), scene(name="b.tif", pixels=RGB)]
    report = export(name, tmp_path / "out", sets)
    suffix = FORMATS[name].suffix
    assert [path.name for path in report.paths] == [f"plate one{suffix}", f"b{suffix}"]
    assert sorted(report.paths) == sorted((tmp_path / "out").iterdir())
    assert len(set(report.notes)) == len(report.notes)
    with pytest.raises(ExportError, match="a folder for 2 images, got the file"):
        export(name, tmp_path / f"a{suffix}", sets)


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a format \(label_tiff, .*yolo\), got 'bmp'"):
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
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_disk_that_refuses_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(ExportError, match=r"No space left .*free some space"):
        export(name, tmp_path / f"out{FORMATS[name].suffix}", [scene(pixels=RGB)])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
