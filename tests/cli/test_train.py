"""``train``: from a TOML file to weights, and what Ctrl-C, mistakes and resuming do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tests.training.tiny import build_tiny, use_tiny
from torch import Tensor
from typer.testing import CliRunner, Result

import napari_edgeflow
from napari_edgeflow.cli import app
from napari_edgeflow.cli.train import format_left
from napari_edgeflow.nn.base import NetworkOutput
from napari_edgeflow.training import loop
from napari_edgeflow.training.batch import Batch, total_loss
from napari_edgeflow.training.settings import Losses
from napari_edgeflow.zoo.build import read_metadata, save_weights

SETTINGS = """
data = ["{data}"]
out = "{out}"
minutes = {minutes}
bf16 = false

[[phases]]
until = 1.0
side = 32
batch = 2
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve steps of a tiny network on one white square."""
    use_tiny(monkeypatch)
    labels = np.zeros((50, 50), np.uint8)
    labels[15:35, 12:30] = 1
    for part, pixels in (("images", 255 * labels), ("masks", labels)):
        (tmp_path / "cells" / part).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "cells" / part / "a.png"), pixels)
    path = tmp_path / "run.toml"
    _write(path, minutes=12 / 60)
    return path


def _write(path: Path, minutes: float) -> None:
    folder = path.parent
    values = {"data": folder / "cells", "out": folder / "runs" / "one", "minutes": minutes}
    path.write_text(SETTINGS.format(**values))


def _train(config: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["train", str(config), *options])


def _step(config: Path) -> int:
    path = config.parent / "runs" / "one" / "checkpoint.pt"
    return int(torch.load(path, weights_only=True)["step"])


def test_a_run_ends_with_weights_to_use(config: Path) -> None:
    result = _train(config)
    assert result.exit_code == 0, result.output
    weights = config.parent / "runs" / "one" / "weights.safetensors"
    assert read_metadata(weights) == {
        "network": "edgeflow-18s",
        "align": "",
        "input_side": "32",
        "step": "12",
    }
    first, *_, last = result.stdout.splitlines()
    assert first == "cells: 1 images, 1 objects"
    assert last == f"Trained 12 steps. Use the weights with --model {weights}"
    assert "\x1b" not in result.output


def test_resume_goes_on(config: Path) -> None:
    assert _train(config).exit_code == 0
    _write(config, minutes=20 / 60)
    assert _train(config, "--resume").exit_code == 0
    assert _step(config) == 20


def test_ctrl_c_saves_and_says_how_to_go_on(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def interrupted(output: NetworkOutput, batch: Batch, losses: Losses) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise KeyboardInterrupt
        return total_loss(output, batch, losses)

    monkeypatch.setattr(loop, "total_loss", interrupted)
    result = _train(config)
    assert result.exit_code == 130
    assert "Stopped at step 5" in result.stderr
    assert f"napari-edgeflow train {config} --resume" in result.stderr
    assert _step(config) == 5
    assert _train(config, "--resume").exit_code == 0
    assert _step(config) == 12


def test_ctrl_c_before_the_first_step(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(output: NetworkOutput, batch: Batch, losses: Losses) -> Tensor:
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "total_loss", interrupted)
    result = _train(config)
    assert result.exit_code == 130
    assert "nothing was saved" in result.stderr
    assert not (config.parent / "runs" / "one" / "checkpoint.pt").exists()


def test_a_run_is_never_overwritten(config: Path) -> None:
    assert _train(config).exit_code == 0
    before = (config.parent / "runs" / "one" / "checkpoint.pt").read_bytes()
    result = _train(config)
    assert result.exit_code == 2
    assert "is there already; go on with --resume" in result.stderr
    assert (config.parent / "runs" / "one" / "checkpoint.pt").read_bytes() == before


def test_starting_from_weights(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a rate of almost nothing, the weights given are the weights that come out."""
    torch.manual_seed(5)
    source = build_tiny("any").state_dict()
    save_weights(source, config.parent / "start.safetensors", {})
    config.write_text("learning_rate = 1e-12\n" + config.read_text())
    assert _train(config, "--start-from", str(config.parent / "start.safetensors")).exit_code == 0
    state = torch.load(config.parent / "runs" / "one" / "checkpoint.pt", weights_only=True)
    torch.testing.assert_close(state["network"]["body.0.weight"], source["body.0.weight"])


def test_weights_of_another_network(config: Path) -> None:
    path = config.parent / "other.safetensors"
    save_weights({"w": torch.zeros(2)}, path, {})
    result = _train(config, "--start-from", str(path))
    assert result.exit_code == 2
    assert "another network" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--resume"], "there is no"),
        (["--resume", "--start-from", "x.safetensors"], "got both"),
        (["--start-from", "none.safetensors"], "a .safetensors file to start from"),
    ],
)
def test_options_that_cannot_be(config: Path, options: list[str], message: str) -> None:
    result = _train(config, *options)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    assert not (config.parent / "runs").exists()


def test_data_that_is_not_there(config: Path) -> None:
    config.write_text(config.read_text().replace("/cells", "/roofs"))
    result = _train(config)
    assert result.exit_code == 2
    assert f"there is no {config.parent / 'roofs'}" in result.stderr


def test_mistakes_in_the_settings(config: Path) -> None:
    config.write_text("minuts = 3\nseeds = 1\n" + config.read_text())
    result = _train(config)
    assert result.exit_code == 2
    assert "line 1: unknown setting minuts" in result.stderr
    assert "line 2: unknown setting seeds" in result.stderr


def test_a_loss_that_is_no_number(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(output: NetworkOutput, batch: Batch, losses: Losses) -> Tensor:
        return total_loss(output, batch, losses) * float("nan")

    monkeypatch.setattr(loop, "total_loss", broken)
    result = _train(config)
    assert result.exit_code == 2
    assert "Error: the loss is nan at step 0" in result.stderr


def test_a_terminal_gets_a_bar_with_the_time_left(config: Path) -> None:
    result = CliRunner().invoke(
        app, ["train", str(config)], env={"FORCE_COLOR": "1", "COLUMNS": "100", "TERM": "xterm"}
    )
    assert result.exit_code == 0, result.output
    assert "100 % · step 12 · 0 s left" in result.stdout


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s left"),
        (59.4, "59 s left"),
        (60, "1 min left"),
        (3599, "59 min left"),
        (3900, "1 h 05 min left"),
    ],
)
def test_time_left(seconds: float, text: str) -> None:
    assert format_left(seconds) == text


def test_mistakes_are_found_before_torch_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("minutes = -1")
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom napari_edgeflow.cli import app\n"
        f"print(CliRunner().invoke(app, ['train', {str(tmp_path / 'run.toml')!r}]).exit_code)\n"
        "print([m for m in ('torch', 'napari', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(Path(napari_edgeflow.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[:2] == ["2", "[]"]
