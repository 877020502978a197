"""The README's commands and its Python example do what it says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.io import imread

import napari_edgeflow
from napari_edgeflow import Prediction, Predictor, Session

README = Path(__file__).parents[1] / "README.md"
SAMPLES = Path(napari_edgeflow.__file__).parent / "gui" / "sample_images"
CLICKS = ((120, 85, True), (140, 30, False))


@pytest.fixture
def image_tif(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ``image.tif`` in the working folder, as the README has it."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, imread(SAMPLES / "nuclei.jpg"))
    return path


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text("utf-8"), re.M | re.S)


def test_the_python_example_runs_and_keeps_its_promises(image_tif: Path) -> None:
    (code,) = blocks("python")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    session, prediction, last = names["session"], names["prediction"], names["last"]
    assert isinstance(session, Session)
    assert isinstance(prediction, Prediction)
    assert isinstance(last, Prediction)
    assert session.clicks == ()  # finished: ready for the next object
    whole = prediction.full_mask(session.source.shape)
    assert whole[120, 85]
    assert not whole[140, 30]
    assert last.full_mask(session.source.shape)[120, 85]


def test_the_segment_command_gives_the_mask_of_the_python_session(image_tif: Path) -> None:
    (line,) = [
        line
        for block in blocks("")
        for line in block.splitlines()
        if line.startswith("napari-edgeflow segment")
    ]
    run = "from napari_edgeflow.cli import main; main()"
    subprocess.run([sys.executable, "-c", run, *shlex.split(line)[1:]], check=True)
    written = tifffile.imread("mask.tif")
    session = Session(imread(SAMPLES / "nuclei.jpg"), Predictor.from_zoo(device="cpu"))
    for y, x, is_positive in CLICKS:
        session.add_click(y, x, is_positive)
    expected = session.finish().full_mask(session.source.shape)
    np.testing.assert_array_equal(written > 0, expected)
    assert written[120, 85] == 1
    assert written[140, 30] == 0


def test_files_that_the_readme_links_to_are_there() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README.read_text("utf-8"))
    assert len(links) >= 5
    assert [link for link in links if not (README.parent / link).exists()] == []


def test_make_targets_of_the_readme_exist() -> None:
    named = set(re.findall(r"^make (\w+)", README.read_text("utf-8"), re.M))
    makefile = (README.parent / "Makefile").read_text("utf-8")
    assert named == {"demo", "test"}
    assert all(re.search(rf"^{target}:", makefile, re.M) for target in named)
