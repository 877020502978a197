"""``segment``: clicks in, a label image out, or one plain message and nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image
from typer.testing import CliRunner, Result

from napari_edgeflow._types import (
    AnyArray,
    BoolArray,
    Click,
    ClickKind,
    FloatArray,
    MaskPatch,
    Prediction,
    Window,
)
from napari_edgeflow.annotation.objects import tiles
from napari_edgeflow.cli import app, segment_run
from napari_edgeflow.cli.segment import parse_click
from napari_edgeflow.errors import DeviceError
from napari_edgeflow.inference.predictor import RawPrediction, SupportsPredict


class BrightPixels:
    """A predictor for which bright is object; it remembers what it was asked."""

    name = "bright"
    device_line = "bright · no device"
    click_kinds: tuple[ClickKind, ...] = ("positive", "negative")
    input_side = 128
    takes_prior = True

    @property
    def stages(self) -> tuple[SupportsPredict, ...]:
        return (self,)

    def __init__(self) -> None:
        self.priors: list[FloatArray | None] = []
        self.bright_shares: list[float] = []

    def predict(
        self, image: FloatArray, clicks: Sequence[Click], prior: FloatArray | None
    ) -> RawPrediction:
        self.priors.append(prior)
        self.bright_shares.append(float((image[:, :, 0] > 0.5).mean()))
        logits = (image[:, :, 0] - 0.5) * 20
        return RawPrediction(logits.astype(np.float32), image[:, :, 0])

    def glance(self, image: FloatArray, clicks: Sequence[Click]) -> FloatArray:
        return self.predict(image, clicks, None).logits

    def prior_from_mask(self, mask: BoolArray) -> FloatArray:
        return mask.astype(np.float32)


@pytest.fixture
def predictor(monkeypatch: pytest.MonkeyPatch) -> BrightPixels:
    bright = BrightPixels()
    monkeypatch.setattr(segment_run, "load_predictor", lambda model, device: bright)
    return bright


def _truth(shape: tuple[int, int] = (128, 128)) -> BoolArray:
    y, x = np.ogrid[: shape[0], : shape[1]]
    disc: BoolArray = (y - 60) ** 2 + (x - 70) ** 2 <= 45**2
    return disc


def _image(shape: tuple[int, int] = (128, 128)) -> AnyArray:
    image = np.where(_truth(shape), 220, 10).astype(np.uint8)
    image[:6, :6] = 220  # bright, but not the object that is clicked
    return image


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["segment", *map(str, arguments)])


def _iou(a: BoolArray, b: BoolArray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_the_object_that_is_clicked_is_written(tmp_path: Path, predictor: BrightPixels) -> None:
    Image.fromarray(_image()).save(tmp_path / "image.png")
    out = tmp_path / "mask.tif"
    result = _run(tmp_path / "image.png", "--click", "60,70,+", "--out", out)
    assert (result.exit_code, result.stderr) == (0, "")
    labels = tifffile.imread(out)
    assert labels.dtype == np.uint8
    assert set(np.unique(labels)) == {0, 1}
    assert _iou(labels == 1, _truth()) > 0.97
    area = int((labels == 1).sum())
    assert result.stdout.startswith(f"area {area} px · score 0.9")
    assert "bright · no device" in result.stdout
    assert len(result.stdout.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.png", "mask.tif"]


def test_png_by_suffix(tmp_path: Path, predictor: BrightPixels) -> None:
    tifffile.imwrite(tmp_path / "image.tif", _image())
    out = tmp_path / "mask.png"
    assert _run(tmp_path / "image.tif", "--click", "60,70", "--out", out).exit_code == 0
    with Image.open(out) as picture:
        assert _iou(np.asarray(picture) == 1, _truth()) > 0.97


def test_every_click_is_obeyed_in_order(tmp_path: Path, predictor: BrightPixels) -> None:
    tifffile.imwrite(tmp_path / "image.tif", _image())
    out = tmp_path / "mask.tif"
    arguments = ["--click", "60,70,+", "--click", "50,60,-", "--click", "3,3,pos", "--out", out]
    result = _run(tmp_path / "image.tif", *arguments, "--verbose")
    assert result.exit_code == 0
    labels = tifffile.imread(out)
    assert labels[60, 70] == labels[3, 3] == 1
    assert labels[50, 60] == 0
    lines = result.stderr.splitlines()
    assert [line.split(":")[0] for line in lines] == ["click 1", "click 2", "click 3"]
    assert all("network" in line and "ms" in line for line in lines)


def test_the_field_of_view_limits_what_is_seen(tmp_path: Path, predictor: BrightPixels) -> None:
    shape = (700, 900)
    tifffile.imwrite(tmp_path / "image.tif", _image(shape))
    out = tmp_path / "mask.tif"
    arguments = [tmp_path / "image.tif", "--click", "60,70,+", "--out", out]
    assert _run(*arguments, "--field-of-view", 160).exit_code == 0
    assert predictor.bright_shares[0] == pytest.approx(_truth(shape).sum() / 160**2, rel=0.1)
    labels = tifffile.imread(out)
    assert labels.shape == shape
    assert _iou(labels == 1, _truth(shape)) > 0.95


def test_a_georeferenced_image_gives_a_georeferenced_mask(
    tmp_path: Path, predictor: BrightPixels
) -> None:
    transform = rasterio.Affine(0.5, 0, 733601.25, 0, -0.5, 3725139.75)
    path, out = tmp_path / "image.tif", tmp_path / "mask.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=128, width=128, dtype="uint8",
        crs="EPSG:32616", transform=transform,
    ) as dataset:  # fmt: skip
        dataset.write(_image()[None])
    assert _run(path, "--click", "60,70,+", "--out", out).exit_code == 0
    with rasterio.open(out) as judge:
        assert judge.crs == rasterio.CRS.from_epsg(32616)
        assert judge.transform == transform
        assert judge.read(1)[60, 70] == 1
    result = _run(path, "--click", "60,70,+", "--out", tmp_path / "mask.png")
    assert result.exit_code == 0
    assert "PNG keeps no place on the map" in result.stderr


_BANDS = ("blue", "noise", "green", "red", "nir")


@pytest.mark.parametrize(
    ("bands", "expected"),
    [
        ("", (0, 1, 2)),
        ("first", (0, 1, 2)),
        ("true-colour", (3, 2, 0)),
        ("false-colour-nir", (4, 3, 2)),
        (" 4 , 0,1 ", (4, 0, 1)),
        ("4", (4, 4, 4)),
    ],
)
def test_the_network_sees_the_bands_that_were_chosen(
    tmp_path: Path,
    predictor: BrightPixels,
    monkeypatch: pytest.MonkeyPatch,
    bands: str,
    expected: tuple[int, ...],
) -> None:
    """Each band has a stripe of its own: what is bright in red, green and blue says which it is."""
    pixels = np.full((len(_BANDS), 128, 128), 10, np.uint16)
    for number in range(len(_BANDS)):
        pixels[number, 20 * number : 20 * number + 20] = 500
    options = {"driver": "GTiff", "height": 128, "width": 128, "count": 5, "dtype": "uint16"}
    place = rasterio.Affine(1, 0, 500_000, 0, -1, 5_000_000)
    with rasterio.open(tmp_path / "image.tif", "w", transform=place, **options) as file:
        file.write(pixels)
        for number, name in enumerate(_BANDS, start=1):
            file.set_band_description(number, name)
    seen: list[tuple[int, ...]] = []
    plain = predictor.predict

    def predict(image: FloatArray, *rest: Any) -> RawPrediction:
        stripe = 20 * image.shape[0] // 128
        rows = [int(image[:, :, band].mean(axis=1).argmax()) for band in range(3)]
        seen.append(tuple(row // stripe for row in rows))
        return plain(image, *rest)

    monkeypatch.setattr(predictor, "predict", predict)
    out = tmp_path / "mask.tif"
    chosen = ["--bands", bands] if bands else []
    click = f"{20 * expected[0] + 10},64,+"
    result = _run(tmp_path / "image.tif", "--click", click, "--out", out, *chosen)
    assert (result.exit_code, result.stderr) == (0, "")
    assert seen[0] == expected
    mask = tifffile.imread(out) == 1
    assert np.flatnonzero(mask[:, 64])[[0, -1]] // 20 == pytest.approx(expected[0])


def test_a_mask_to_start_from(tmp_path: Path, predictor: BrightPixels) -> None:
    tifffile.imwrite(tmp_path / "image.tif", _image())
    start = np.zeros((128, 128), np.uint16)
    start[40:80, 50:90] = 700
    tifffile.imwrite(tmp_path / "start.tif", start)
    arguments = [tmp_path / "image.tif", "--click", "60,70,+", "--out", tmp_path / "mask.tif"]
    assert _run(*arguments).exit_code == 0
    assert predictor.priors[0] is None
    predictor.priors.clear()
    assert _run(*arguments, "--mask", tmp_path / "start.tif").exit_code == 0
    prior = predictor.priors[0]
    assert prior is not None
    assert 0 < prior.sum() < prior.size


def test_a_mask_may_be_replaced_by_the_result(tmp_path: Path, predictor: BrightPixels) -> None:
    tifffile.imwrite(tmp_path / "image.tif", _image())
    mask = tmp_path / "mask.tif"
    tifffile.imwrite(mask, np.pad(np.ones((30, 30), np.uint8), ((50, 48), (60, 38))))
    arguments = ["--click", "60,70,-", "--mask", mask, "--out", mask]
    result = _run(tmp_path / "image.tif", *arguments)
    assert result.exit_code == 0, result.stderr
    assert tifffile.imread(mask)[60, 70] == 0


@pytest.mark.parametrize(
    ("text", "click"),
    [
        ("12,30,+", Click(12, 30, True)),
        ("12,30,-", Click(12, 30, False)),
        ("12,30,−", Click(12, 30, False)),
        (" 12.5 , 30.25 , NEG ", Click(12.5, 30.25, False)),
        ("1,2,pos", Click(1, 2, True)),
        ("1,2,1", Click(1, 2, True)),
        ("1,2,0", Click(1, 2, False)),
        ("1,2", Click(1, 2, True)),
        ("-0.4,1e1,+", Click(-0.4, 10, True)),
        ("5,6,b", Click(5, 6, is_boundary=True)),
        ("5,6,Boundary", Click(5, 6, is_boundary=True)),
    ],
)
def test_clicks_are_read(text: str, click: Click) -> None:
    assert parse_click(text) == click


@pytest.mark.parametrize(
    "text", ["", "12", "a,b,+", "1,2,*", "1,2,+,3", "1;2", "nan,1,+", "1,inf,-", "1,2,"]
)
def test_clicks_that_make_no_sense(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a click as Y,X,\+ or Y,X,-"):
        parse_click(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--click", "60,70,*"],
            "Y,X,+ or Y,X,- or Y,X,b in pixels, got '60,70,*'",
        ),
        (["--click", "128,70,+"], "inside the image of 128×128 px (Y,X from 0,0), got 128,70"),
        (["--click", "60,70,+", "--click", "-3,5,-"], "got -3,5"),
        (["--click", "60,70,-"], "expected a click on the object, got only clicks beside it"),
        (["--click", "60,70,+", "--field-of-view", "0"], "field of view of at least 1 px, got 0"),
        (["--click", "60,70,+", "--field-of-view", "nan"], "field of view of at least 1 px"),
        (["--click", "60,70,+", "--bands", "red"], "one to three numbers"),
        (["--click", "60,70,+", "--bands", "0,0,0,0"], "got '0,0,0,0'; for example --bands"),
        (["--click", "60,70,+", "--bands", "-1"], "got '-1'"),
        (["--click", "60,70,+", "--bands", "1"], "--bands of 0…0, as the image has 1, got '1'"),
        (["--click", "60,70,+", "--bands", "false-colour-nir"], "known as nir, red, green"),
        (["--click", "60,70,+", "--mask", "small.tif"], "expected a mask of the image's size"),
        (["--click", "60,70,+", "--mask", "empty.tif"], "empty.tif is all 0"),
        (["--click", "60,70,+", "--mask", "none.tif"], "none.tif cannot be opened"),
        (["--click", "60,70,+", "--out", "out.jpg"], "ending in .tif, .tiff, .png, got 'out.jpg'"),
        (["--click", "60,70,+", "--out", "nowhere/out.tif"], "nowhere is none; make it first"),
        (["--click", "60,70,+", "--out", "image.tif"], "other than the image"),
    ],
)
def test_what_is_wrong_is_said_before_the_model_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    def never(model: str, device: str) -> Any:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(segment_run, "load_predictor", never)
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("image.tif", _image())
    tifffile.imwrite("small.tif", np.ones((5, 5), np.uint8))
    tifffile.imwrite("empty.tif", np.zeros((128, 128), np.uint8))
    before = {path: path.read_bytes() for path in Path().iterdir()}
    result = _run("image.tif", "--out", "out.tif", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.match(r"Error: (image\.tif: )?expected ", result.stderr)
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (DeviceError("there is no CUDA device; use --device cpu"), "there is no CUDA device"),
        (MemoryError(), "expected enough memory"),
        (KeyError("stem"), "something unforeseen went wrong: KeyError: 'stem'"),
    ],
)
def test_errors_of_the_model_are_plain_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def fail(model: str, device: str) -> Any:
        raise error

    monkeypatch.setattr(segment_run, "load_predictor", fail)
    tifffile.imwrite(tmp_path / "image.tif", _image())
    result = _run(tmp_path / "image.tif", "--click", "60,70", "--out", tmp_path / "out.tif")
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out.tif").exists()


def _shell(*arguments: object) -> subprocess.CompletedProcess[str]:
    code = "from napari_edgeflow.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_cut_file_is_one_plain_line(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, _image(), compression="zlib", tile=(16, 16))
    path.write_bytes(path.read_bytes()[:300])
    done = _shell("segment", path, "--click", "60,70,+", "--out", tmp_path / "out.tif")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: image.tif: expected a")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_real_network_from_the_shell(tmp_path: Path) -> None:
    from napari_edgeflow.zoo.build import build_network, save_weights

    weights = tmp_path / "random.safetensors"
    save_weights(build_network("edgeflow-18xs").state_dict(), weights, {"network": "edgeflow-18xs"})
    tifffile.imwrite(tmp_path / "image.tif", _image())
    out = tmp_path / "out.tif"
    clicks = ["--click", "60,70,+", "--click", "10,120,-"]
    options = ["--model", weights, "--device", "cpu", "--out", out]
    done = _shell("segment", tmp_path / "image.tif", *clicks, *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert "CPU" in done.stdout
    labels = tifffile.imread(out)
    assert (labels[60, 70], labels[10, 120]) == (1, 0)
    assert f"area {int((labels == 1).sum())} px" in done.stdout


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from napari_edgeflow.cli import app\n"
        "for command in ([], ['segment'], ['evaluate'], ['train'], ['models']):\n"
        "    app([*command, '--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'napari', 'qtpy', 'cv2', 'numpy', 'skimage', 'tifffile', 'zarr'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: []"


def test_boundary_clicks_go_to_models_that_take_them(
    tmp_path: Path, predictor: BrightPixels
) -> None:
    tifffile.imwrite(tmp_path / "image.tif", _image())
    out = tmp_path / "mask.tif"
    clicks = ["--click", "60,70,+", "--click", "60,25,b"]
    refused = _run(tmp_path / "image.tif", *clicks, "--out", out)
    assert refused.exit_code == 2
    assert "positive or negative clicks, got a boundary click" in refused.stderr
    assert not out.exists()
    predictor.click_kinds = ("positive", "boundary")
    assert _run(tmp_path / "image.tif", *clicks, "--out", out).exit_code == 0
    assert _iou(tifffile.imread(out) == 1, _truth()) > 0.97


def test_a_mask_is_written_in_strips() -> None:
    """As the pixels of the whole mask, tile by tile, with patches of a finer scale."""
    coarse = np.random.default_rng(0).random((40, 60)) > 0.5
    fine = np.random.default_rng(1).random((70, 90)) > 0.5
    prediction = Prediction(
        Window(100, 33, 258, 270),
        coarse.astype(np.float32),
        coarse,
        0.9,
        scale=4,
        patches=(MaskPatch(Window(150, 60, 220, 150), fine, 1),),
    )
    labels = segment_run.MaskStrips(prediction, (400, 300))
    expected = prediction.full_mask((400, 300))
    assert expected.any()
    for side in (64, 256):
        for tile in tiles(labels.shape, side):
            np.testing.assert_array_equal(labels.read(tile), expected[tile.slices])


def test_refined_outlines_are_exact(tmp_path: Path, predictor: BrightPixels) -> None:
    """Waves along the border that the network's 32 px do not show come out pixel by pixel."""
    y, x = np.mgrid[:300, :300]
    angle = np.arctan2(y - 150, x - 150)
    truth = np.hypot(y - 150, x - 150) < 100 + 6 * np.sin(15 * angle)
    tifffile.imwrite(tmp_path / "image.tif", np.where(truth, 220, 10).astype(np.uint8))
    predictor.input_side = 32
    out = tmp_path / "mask.tif"
    request = (tmp_path / "image.tif", "--click", "150,150,+", "--out", out)
    assert _run(*request).exit_code == 0
    assert not np.array_equal(tifffile.imread(out) == 1, truth)
    result = _run(*request, "--refine", "--verbose")
    assert result.exit_code == 0
    assert "refining: " in result.stderr
    np.testing.assert_array_equal(tifffile.imread(out) == 1, truth)
    assert result.stdout.startswith(f"area {truth.sum()} px")
    predictor.input_side = 320
    assert "full resolution already" in _run(*request, "--refine").stderr
