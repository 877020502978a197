"""A run that was killed goes on as if nothing had happened; full disks harm nothing."""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import napari_edgeflow
from napari_edgeflow._types import Click
from napari_edgeflow.errors import ExportError
from napari_edgeflow.training import loop, runlog
from napari_edgeflow.training.checkpoint import load_state, pack_views, unpack_views
from napari_edgeflow.training.loop import Trainer
from napari_edgeflow.training.runlog import read_log
from napari_edgeflow.training.settings import Phase, TrainConfig
from napari_edgeflow.training.view import View

from .tiny import Clock, build_tiny

MakeDataset = Callable[..., Path]

# Trains, saves after three steps, and dies by signal 9 in the middle of the fifth.
CHILD = """
import json, os, signal, sys
import cv2, torch
from tests.training.tiny import build_tiny, Clock
from napari_edgeflow.training import loop
from napari_edgeflow.training.settings import Phase, TrainConfig
torch.set_num_threads(1)
cv2.setNumThreads(1)
loop.build_network, loop.time = build_tiny, Clock()
values = json.loads(sys.argv[1])
values["phases"] = tuple(Phase(*item) for item in values["phases"])
values["data"] = tuple(values["data"])
trainer = loop.Trainer(TrainConfig(**values), log=lambda line: None)
average_gradients = loop.average_gradients
def mortal(parameters):
    if trainer.step == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    average_gradients(parameters)
loop.average_gradients = mortal
trainer.run()
"""


@pytest.fixture
def config(
    make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> TrainConfig:
    """Six steps over two phases, a line of log each, a checkpoint after the third."""
    monkeypatch.setattr(loop, "build_network", build_tiny)
    monkeypatch.setattr(loop, "time", Clock())
    return TrainConfig(
        data=(str(make_dataset("cells", [(60, 60)] * 4)),),
        out=str(tmp_path / "whole" / "run"),
        steps=6,
        phases=(Phase(0.7, 32, 4), Phase(1.0, 40, 2, True)),
        bf16=False,
        log_every=1,
        save_minutes=8.5 / 60,  # the clock is read three times a step
        pictures=False,
    )


def _losses(config: TrainConfig) -> list[float]:
    return [row.loss for row in read_log(Path(config.out) / "log.csv")]


def _die(config: TrainConfig) -> None:
    """Runs the child; it must be killed."""
    import json

    places = [str(Path(napari_edgeflow.__file__).parents[1]), str(Path(__file__).parents[2])]
    values = dataclasses.asdict(config)
    values["phases"] = [[p.until, p.side, p.batch, p.finenet] for p in config.phases]
    del values["losses"]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(values)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def test_killed_and_resumed_is_the_same_as_never_stopped(
    config: TrainConfig, tmp_path: Path
) -> None:
    whole = Trainer(config)
    whole.run()
    broken = dataclasses.replace(config, out=str(tmp_path / "broken" / "run"))
    _die(broken)
    saved = torch.load(Path(broken.out) / "checkpoint.pt", weights_only=True)
    assert int(saved["step"]) == 3
    assert len(_losses(broken)) == 4, "a line of the log was written after the checkpoint"
    resumed = Trainer(broken, resume=True)
    resumed.run()
    assert len(_losses(config)) == 6
    assert _losses(broken) == _losses(config)
    assert len(set(_losses(config))) == 6
    expected = whole.network.state_dict()
    assert all(torch.equal(v, expected[n]) for n, v in resumed.network.state_dict().items())
    assert all(torch.equal(v, whole.average[n]) for n, v in resumed.average.items())
    assert resumed.used == whole.used


def test_packed_views_come_back_as_they_were() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((3, 33, 33)) < 0.5
    prior = rng.random((33, 33)).astype(np.float16).astype(np.float32)
    image = rng.integers(0, 255, (33, 33, 3)).astype(np.uint8)
    clicks = [Click(1, 2.5), Click(3, 4, False), Click(5, 6, is_boundary=True)]
    views = [
        View(image, masks[0], masks[1], clicks, prior, masks[2]),
        View(image, masks[0], masks[1], [], prior),
    ]
    for before, after in zip(views, unpack_views(pack_views(views)), strict=True):
        assert after.clicks == before.clicks
        assert (after.others is None) == (before.others is None)
        for name in ("image", "truth", "ignore", "prior", "others"):
            value = getattr(before, name)
            if value is not None:
                np.testing.assert_array_equal(getattr(after, name), value)
                assert getattr(after, name).dtype == value.dtype


def _full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_the_last_checkpoint_as_it_was(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    Trainer(config).run()
    out = Path(config.out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    lines: list[str] = []
    trainer = Trainer(dataclasses.replace(config, steps=12), resume=True, log=lines.append)
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(ExportError, match=r"checkpoint\.pt could not be written.*No space left"):
        trainer.run()
    assert trainer.step == 12, "a full disk does not end the run before its time"
    assert any(line.startswith("Warning:") and "goes on" in line for line in lines)
    after = {path.name: path.read_bytes() for path in out.iterdir()}
    assert after.keys() == before.keys()
    assert all(after[name] == before[name] for name in ("checkpoint.pt", "weights.safetensors"))


def test_a_log_that_cannot_be_written_does_not_end_the_run(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runlog.RunLog, "_write", _full)
    lines: list[str] = []
    trainer = Trainer(config, log=lines.append)
    trainer.run()
    assert trainer.step == 6
    assert any("log.csv could not be written (No space left" in line for line in lines)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken"])
def test_a_damaged_checkpoint_is_a_plain_error(config: TrainConfig, content: bytes) -> None:
    out = Path(config.out)
    out.mkdir(parents=True)
    (out / "checkpoint.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"is damaged.*--start-from"):
        Trainer(config, resume=True)


def test_a_checkpoint_of_an_older_version(config: TrainConfig, tmp_path: Path) -> None:
    torch.save({"network": {}, "step": 4}, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="older version"):
        load_state(tmp_path / "checkpoint.pt", torch.device("cpu"))
