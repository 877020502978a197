"""From a name to a segmenter, with the real network and the real session."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_edgeflow import Predictor, Session
from napari_edgeflow._types import Click
from napari_edgeflow.data.folder import FolderDataset
from napari_edgeflow.errors import DeviceError, WeightsError
from napari_edgeflow.evaluation.baselines import GrabCut, RandomWalker, Watershed
from napari_edgeflow.evaluation.clicker import click_on_object
from napari_edgeflow.evaluation.segmenters import SessionSegmenter
from napari_edgeflow.evaluation.sources import ModelSource, Zoom
from napari_edgeflow.evaluation.views import FixedView, RitmView
from napari_edgeflow.zoo.build import build_network, save_weights

from .fakes import write_discs


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of an untrained network."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    save_weights(build_network("edgeflow-18s").state_dict(), path, {"network": "edgeflow-18s"})
    return path


def test_a_weights_file_is_known_by_its_name_and_hash(weights: Path) -> None:
    expected = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert ModelSource(str(weights)).identify() == ("untrained", expected)


def test_the_masks_are_those_of_the_session(weights: Path, tmp_path: Path) -> None:
    sample = FolderDataset(write_discs(tmp_path / "discs", images=1))[0]
    segmenter = ModelSource(str(weights), "cpu").build()

    clicked = click_on_object(segmenter, sample, 2, field_of_view=64, max_clicks=3)

    session = Session(sample.image, Predictor.from_zoo(str(weights), device="cpu"), 64)
    for click in clicked.clicks:
        prediction = session.add_click(click.y, click.x, click.is_positive)
    np.testing.assert_array_equal(clicked.mask, prediction.full_mask(sample.shape))
    assert len(clicked.ious) == 3
    row, column = clicked.clicks[-1].pixel
    assert clicked.mask[row, column] == clicked.clicks[-1].is_positive


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("grabcut", GrabCut),
        ("random_walker", RandomWalker),
        ("random-walker", RandomWalker),
        ("watershed", Watershed),
    ],
)
def test_baselines_have_no_weights_and_run_on_the_cpu(name: str, kind: type) -> None:
    source = ModelSource(name, "cuda", "off", flip=True)
    assert isinstance(source.build(), kind)
    assert source.identify() == (name.replace("-", "_"), None)
    assert source.find_device() == "cpu"
    assert source.options() == {}


@pytest.mark.parametrize(
    ("zoom", "kind"), [("on", SessionSegmenter), ("off", FixedView), ("ritm", RitmView)]
)
@pytest.mark.parametrize("flip", [False, True])
def test_zoom_and_flip_are_used_and_told(
    weights: Path, tmp_path: Path, zoom: Zoom, kind: type, flip: bool
) -> None:
    model = "default" if zoom == "off" else str(weights)  # random weights may answer all or nothing
    source = ModelSource(model, "cpu", zoom, flip, 48)
    segmenter = source.build()
    assert isinstance(segmenter, kind)
    side = {"zoom_side": 48} if zoom == "ritm" else {}
    assert source.options() == {"zoom": zoom, "flip": flip, **side}
    if zoom == "off":  # symmetric answers are the sign of flip averaging
        sample = FolderDataset(write_discs(tmp_path / "discs", images=1))[0]
        grey = np.asarray(sample.image[:, :64] // 2 + 40)
        masks = []
        for image, column in ((grey, 20), (grey[:, ::-1], 43)):
            segmenter.begin(image, 96)
            masks.append(segmenter.click(Click(30, column)))
        assert np.array_equal(masks[0], masks[1][:, ::-1]) == flip


def test_a_device_that_is_not_there(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert ModelSource(str(weights), "auto").find_device() == "cpu"
    with pytest.raises(DeviceError, match="cuda"):
        ModelSource(str(weights), "cuda").find_device()


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(WeightsError, match="nowhere"):
        ModelSource("nowhere.safetensors").identify()
