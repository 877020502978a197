"""``train --finetune``: what gets better is kept, what gets worse is refused."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tests.training.tiny import build_tiny, use_tiny
from typer.testing import CliRunner, Result

from napari_edgeflow.cli import app, finetune
from napari_edgeflow.cli.finetune import Score
from napari_edgeflow.inference import predictor
from napari_edgeflow.training import loop
from napari_edgeflow.zoo.build import read_metadata, save_weights
from napari_edgeflow.zoo.catalog import find_model, list_models


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with six white squares in two images and the weights of a tiny network."""
    use_tiny(monkeypatch)
    monkeypatch.setattr(predictor, "build_network", build_tiny)
    monkeypatch.setenv("NAPARI_EDGEFLOW_MODELS", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)
    for name, n in (("a", 2), ("b", 4)):
        labels = np.zeros((40, 30 * n), np.uint8)
        for i in range(n):
            labels[12:26, 30 * i + 8 : 30 * i + 22] = i + 1
        image = np.where(labels, 255, 0).astype(np.uint8)
        for part, pixels in (("images", image), ("masks", labels)):
            (tmp_path / "cells" / part).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "cells" / part / f"{name}.png"), pixels)
    torch.manual_seed(0)
    metadata = {"network": "edgeflow-18s", "input_side": "32", "licence": "CC0"}
    save_weights(build_tiny("any").state_dict(), tmp_path / "start.safetensors", metadata)
    return tmp_path


def _finetune(*options: str, minutes: float = 6 / 60) -> Result:
    arguments = ["train", "--finetune", "cells", "--from", "start.safetensors"]
    return CliRunner().invoke(app, [*arguments, "--minutes", str(minutes), *options])


def _score_as(monkeypatch: pytest.MonkeyPatch, **clicks: float) -> None:
    """Models need so many clicks, by stage."""

    def score(_request: object, _split: object, _model: str, stage: str, _tell: object) -> Score:
        return Score(clicks[stage], 0.5)

    monkeypatch.setattr(finetune, "_score", score)


def test_from_objects_to_a_listed_model(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Judged by the real harness, on real clicks; --keep as six steps teach nothing."""
    monkeypatch.setattr("napari_edgeflow.training.finetune.LARGEST_SIDE_PX", 16)
    result = _finetune("--keep", "--json", "--name", "squares")
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert next(line["stage"] for line in lines) == "before"
    shares = [line["progress"] for line in lines]
    assert shares == sorted(shares)
    assert "4 objects to learn from, 2 to judge by" in [line["text"] for line in lines]
    last = lines[-1]
    assert (last["stage"], last["model"], last["kept"]) == ("done", "squares", None)
    assert 1 <= last["before"] <= 10
    assert 1 <= last["after"] <= 10
    report = json.loads((project / "squares-run" / "after" / "report.json").read_text())
    assert report["datasets"][0]["noc85"] == last["after"]
    assert report["datasets"][0]["objects"] == 2
    info = find_model("squares")
    assert "squares" in [model.name for model in list_models()]
    assert info.path == project / "models" / "squares.safetensors"
    metadata = read_metadata(info.path)
    assert metadata["network"] == "edgeflow-18s"
    assert metadata["input_side"] == "32", "views as large as before, though training saw smaller"
    assert metadata["licence"] == "CC0"
    assert "improved on 4 objects" in metadata["summary"]
    assert metadata["step"] == "6"


def test_a_model_that_is_no_better_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _score_as(monkeypatch, before=3.0, after=3.0)
    result = _finetune()
    assert result.exit_code == 2
    assert "is not better than start.safetensors" in result.stderr
    assert "3.00 clicks" in result.stderr
    assert "--keep" in result.stderr
    assert not list((project / "models").glob("*"))
    assert (project / "start-cells-run" / "run" / "weights.safetensors").exists()


def test_a_better_model_is_kept_and_the_one_before_it_too(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _score_as(monkeypatch, before=3.0, after=2.0)
    assert _finetune("--out", "one").exit_code == 0
    models = project / "models"
    first = (models / "start-cells.safetensors").read_bytes()
    _score_as(monkeypatch, before=3.0, after=2.5, previous=2.0)
    refused = _finetune("--out", "two", minutes=9 / 60)
    assert refused.exit_code == 2
    assert "is not better than start-cells" in refused.stderr
    assert (models / "start-cells.safetensors").read_bytes() == first
    assert not list(models.glob("*old*"))
    _score_as(monkeypatch, before=3.0, after=1.5, previous=2.0)
    done = _finetune("--out", "three", minutes=9 / 60)
    assert done.exit_code == 0, done.output
    assert "3.00 before, 1.50 after" in done.stdout
    assert "now called start-cells-old1" in done.stdout
    assert (models / "start-cells.safetensors").read_bytes() != first
    assert (models / "start-cells-old1.safetensors").read_bytes() == first
    assert {"start-cells", "start-cells-old1"} <= {model.name for model in list_models()}
    find_model("start-cells")
    find_model("start-cells-old1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--name", "default"], "the name of a bundled model"),
        (["--name", "../evil"], "expected a name of letters"),
        (["--minutes", "0"], "minutes of more than 0"),
        (["--out", "cells"], "cells is not empty"),
        (["--from", "no-such-model"], "no model is called 'no-such-model'"),
        (["--resume"], "--finetune goes without"),
        (["--finetune", "nothing"], "nothing"),
    ],
)
def test_requests_that_cannot_be(project: Path, options: list[str], message: str) -> None:
    result = _finetune(*options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (project / "models").exists()


def test_ctrl_c_changes_no_model(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    _score_as(monkeypatch, before=3.0)
    monkeypatch.setattr(loop, "total_loss", interrupted)
    result = _finetune()
    assert result.exit_code == 130
    assert "your models are as they were" in result.stderr
    assert not (project / "models").exists()


def test_nothing_to_do() -> None:
    result = CliRunner().invoke(app, ["train"])
    assert result.exit_code == 2
    assert "expected CONFIG.toml, or --finetune DATA" in result.stderr
