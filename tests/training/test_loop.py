"""A run learns, resumes where it stopped, and never throws its last checkpoint away."""

from __future__ import annotations

import csv
import dataclasses
import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from napari_edgeflow.errors import DatasetError
from napari_edgeflow.nn.base import NetworkOutput, NetworkSpec
from napari_edgeflow.training import loop
from napari_edgeflow.training.batch import Batch, total_loss
from napari_edgeflow.training.loop import Trainer
from napari_edgeflow.training.pack import Pack
from napari_edgeflow.training.sampling import View, ViewSampler
from napari_edgeflow.training.settings import Losses, Phase, TrainConfig
from napari_edgeflow.zoo.build import load_weights, read_metadata

from .tiny import build_tiny, use_tiny

MakeDataset = Callable[..., Path]


@pytest.fixture
def config(
    make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> TrainConfig:
    """Ten steps on small white objects, all with FineNet."""
    use_tiny(monkeypatch)
    return TrainConfig(
        data=(str(make_dataset("cells", [(60, 60)] * 6)),),
        out=str(tmp_path / "runs" / "one"),
        minutes=10 / 60,
        phases=(Phase(1.0, 32, 4, finenet=True),),
        learning_rate=5e-3,
        bf16=False,
    )


def _log(config: TrainConfig) -> list[dict[str, float]]:
    with (Path(config.out) / "log.csv").open() as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def test_the_loss_falls_and_the_masks_get_better(config: TrainConfig) -> None:
    lines: list[str] = []
    trainer = Trainer(dataclasses.replace(config, minutes=200 / 60), log=lines.append)
    trainer.run()
    assert trainer.step == 200
    first, *_, last = _log(config)
    assert [row["step"] for row in _log(config)] == [50, 100, 150, 200]
    assert last["loss"] < 0.7 * first["loss"]
    assert last["iou"] > first["iou"] + 0.2
    assert "step 200" in lines[-1]
    assert lines[0] == "cells: 6 images, 6 objects"


def test_what_a_run_leaves_behind(config: TrainConfig) -> None:
    trainer = Trainer(config)
    trainer.run()
    out = Path(config.out)
    assert sorted(item.name for item in out.iterdir()) == [
        "checkpoint.pt",
        "samples.png",
        "weights.safetensors",
    ]
    metadata = read_metadata(out / "weights.safetensors")
    assert (metadata["network"], metadata["step"]) == ("edgeflow-18s", "10")
    network = build_tiny("any")
    load_weights(network, out / "weights.safetensors")
    expected = trainer.average["body.0.weight"]
    assert torch.equal(network.state_dict()["body.0.weight"], expected)


def test_resuming_goes_on_where_it_stopped(config: TrainConfig) -> None:
    first = Trainer(config)
    first.run()
    longer = dataclasses.replace(config, minutes=16 / 60)
    second = Trainer(longer, resume=True)
    assert (second.step, second.elapsed_s) == (10, first.elapsed_s)
    assert second.rng.bit_generator.state == first.rng.bit_generator.state
    expected = first.network.state_dict()
    assert all(torch.equal(v, expected[n]) for n, v in second.network.state_dict().items())
    assert all(torch.equal(v, first.average[n]) for n, v in second.average.items())
    moments = first.optimiser.state_dict()["state"]
    for index, state in second.optimiser.state_dict()["state"].items():
        assert torch.equal(state["exp_avg_sq"], moments[index]["exp_avg_sq"])
    second.run()
    assert second.step == 16


def test_without_resume_a_run_starts_afresh_from_the_weights_given(config: TrainConfig) -> None:
    Trainer(config).run()
    weights = Path(config.out) / "weights.safetensors"
    trainer = Trainer(config, start_from=weights)
    assert (trainer.step, trainer.elapsed_s) == (0, 0.0)
    expected = load_file(weights)
    state = trainer.network.state_dict()
    assert all(torch.equal(state[name], value) for name, value in expected.items())


def test_a_loss_that_is_no_number_keeps_the_last_checkpoint(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    Trainer(config).run()
    checkpoint = Path(config.out) / "checkpoint.pt"
    before = checkpoint.read_bytes()
    trainer = Trainer(dataclasses.replace(config, minutes=20 / 60), resume=True)

    def broken(output: NetworkOutput, batch: Batch, losses: Losses) -> Tensor:
        return total_loss(output, batch, losses) * (math.nan if trainer.step == 13 else 1)

    monkeypatch.setattr(loop, "total_loss", broken)
    with pytest.raises(FloatingPointError, match=r"nan at step 13.*checkpoint"):
        trainer.run()
    assert checkpoint.read_bytes() == before
    assert all(torch.isfinite(p).all() for p in trainer.network.parameters())


def test_phases_follow_the_clock(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    phases = (Phase(0.4, 32, 4), Phase(1.0, 48, 2, finenet=True))
    trainer = Trainer(dataclasses.replace(config, phases=phases))
    seen: list[tuple[tuple[int, ...], bool]] = []

    def watched(output: NetworkOutput, batch: Batch, losses: Losses) -> Tensor:
        seen.append((tuple(batch.image.shape), output.mask_logits is not output.coarse_logits))
        return total_loss(output, batch, losses)

    monkeypatch.setattr(loop, "total_loss", watched)
    trainer.run()
    assert seen == [((4, 3, 32, 32), False)] * 4 + [((2, 3, 48, 48), True)] * 6


def test_views_come_back_with_the_click_that_corrects_them(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    stack = Batch.of

    def watched(
        views: list[View], spec: NetworkSpec, device: torch.device, *, focus: float = 1.0
    ) -> Batch:
        counts.extend(len(view.clicks) for view in views if view.prior.any())
        return stack(views, spec, device, focus=focus)

    monkeypatch.setattr(Batch, "of", staticmethod(watched))
    Trainer(dataclasses.replace(config, minutes=30 / 60)).run()
    assert max(counts) > 3
    assert len(counts) > 0.4 * 30 * 4


def test_batches_hold_what_the_views_hold(config: TrainConfig) -> None:
    Trainer(config).run()
    pack = Pack(Path(config.out).parent / "pack")
    rng = np.random.default_rng(0)
    views = [ViewSampler(pack).draw(32, rng) for _ in range(3)]
    batch = Batch.of(views, NetworkSpec(click_radius_px=2.0), torch.device("cpu"))
    for index, view in enumerate(views):
        image = batch.image[index].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(image, view.image / 255, atol=1e-6)
        np.testing.assert_array_equal(batch.target[index, 0].numpy() > 0, view.truth)
        np.testing.assert_array_equal(batch.valid[index, 0].numpy() > 0, ~view.ignore)
        np.testing.assert_array_equal(batch.prior[index, 0].numpy(), view.prior)
        for click in view.clicks:
            row, column = click.pixel
            assert batch.click_maps[index, 0 if click.is_positive else 1, row, column] == 1


def test_data_without_objects_is_a_plain_error(config: TrainConfig) -> None:
    with pytest.raises(DatasetError, match="at least one data set"):
        Trainer(dataclasses.replace(config, data=())).run()


@pytest.fixture(autouse=True)
def _no_threads_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before
