"""From a name to a segmenter, with the real network and the real session."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_edgeflow import Predictor, Session
from napari_edgeflow.data.folder import FolderDataset
from napari_edgeflow.errors import DeviceError, WeightsError
from napari_edgeflow.evaluation.baselines import GrabCut, RandomWalker
from napari_edgeflow.evaluation.clicker import click_on_object
from napari_edgeflow.evaluation.sources import ModelSource
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


def test_baselines_by_name() -> None:
    assert isinstance(ModelSource("grabcut").build(), GrabCut)
    assert isinstance(ModelSource("random_walker").build(), RandomWalker)


def test_baselines_have_no_weights_and_run_on_the_cpu() -> None:
    for name in ("grabcut", "random_walker"):
        assert ModelSource(name, "cuda").identify() == (name, None)
        assert ModelSource(name, "cuda").find_device() == "cpu"


def test_a_device_that_is_not_there(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert ModelSource(str(weights), "auto").find_device() == "cpu"
    with pytest.raises(DeviceError, match="cuda"):
        ModelSource(str(weights), "cuda").find_device()


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(WeightsError, match="nowhere"):
        ModelSource("nowhere.safetensors").identify()
