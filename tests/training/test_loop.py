"""A run learns, resumes where it stopped, and never throws its last checkpoint away."""

from __future__ import annotations

import csv
import dataclasses
import math
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import cv2
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


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried to allocate 2 GiB",
        "[enforce fail] can't allocate memory: 9 bytes",
    ],
)
def test_too_little_memory_halves_the_batch(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Room for two views: eight become four, then two, with a message each, and it goes on."""
    kind = torch.OutOfMemoryError if "CUDA" in text else RuntimeError
    sizes: list[int] = []

    def greedy(output: NetworkOutput, batch: Batch, losses: Losses) -> Tensor:
        if len(batch.image) > 2:
            raise kind(text)
        sizes.append(len(batch.image))
        return total_loss(output, batch, losses)

    monkeypatch.setattr(loop, "total_loss", greedy)
    lines: list[str] = []
    phases = (Phase(1.0, 32, 8),)
    trainer = Trainer(dataclasses.replace(config, phases=phases, steps=3), log=lines.append)
    trainer.run()
    assert sizes == [2, 2, 2]
    told = [line for line in lines if "Out of memory" in line]
    assert [line.split("going on with ")[1] for line in told] == ["4 a step", "2 a step"]
    resumed = Trainer(dataclasses.replace(config, phases=phases, steps=4), resume=True)
    assert resumed.most_views == 2


def test_no_memory_for_two_views(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*_: object) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loop, "total_loss", greedy)
    with pytest.raises(MemoryError, match="choose a smaller 'side'"):
        Trainer(dataclasses.replace(config, steps=1)).run()


def test_other_errors_of_torch_are_not_taken_for_memory(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Tensor:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(loop, "total_loss", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        Trainer(dataclasses.replace(config, steps=1)).run()


@pytest.mark.parametrize("rule", ["random", "iterative", "selection"])
def test_other_rules_of_clicks_train_too(config: TrainConfig, rule: str) -> None:
    phases = (Phase(1.0, 32, 4, clicks=rule),)
    trainer = Trainer(dataclasses.replace(config, phases=phases, steps=4))
    before = {n: v.clone() for n, v in trainer.network.state_dict().items()}
    trainer.run()
    assert trainer.network.training
    assert trainer.pool == []
    assert not torch.equal(trainer.network.state_dict()["heads.weight"], before["heads.weight"])


def test_clicks_that_the_network_does_not_take(config: TrainConfig) -> None:
    phases = (Phase(1.0, 32, 4, clicks="boundary"),)
    with pytest.raises(ValueError, match=r"phase 1: .*\(positive, negative\).*boundary"):
        Trainer(dataclasses.replace(config, phases=phases))


def test_a_phase_that_trains_a_part(config: TrainConfig) -> None:
    phases = (Phase(0.5, 32, 4), Phase(1.0, 32, 4, train=("heads",)))
    trainer = Trainer(dataclasses.replace(config, phases=phases, steps=3))
    trainer.run()
    body = {n: v.clone() for n, v in trainer.network.state_dict().items() if "body" in n}
    heads = trainer.network.state_dict()["heads.weight"].clone()
    more = Trainer(dataclasses.replace(config, phases=phases, steps=6), resume=True)
    assert more.phase == 1
    more.config = dataclasses.replace(more.config, phases=(phases[1],) * 2)
    more.run()
    state = more.network.state_dict()
    assert all(torch.equal(state[name], value) for name, value in body.items())
    assert not torch.equal(state["heads.weight"], heads)


def test_pictures_of_the_run(config: TrainConfig) -> None:
    trainer = Trainer(dataclasses.replace(config, steps=4, log_every=2))
    trainer.run()
    curves = cv2.imread(str(Path(config.out) / "curves.png"))
    assert curves is not None
    assert curves.shape[1] > 2 * curves.shape[0]
    sheet = cv2.imread(str(Path(config.out) / "samples.png"))
    views, _ = trainer._shown
    assert sheet is not None
    assert sheet.shape == (64, 32 * 4, 3)
    np.testing.assert_array_equal(sheet[:32, :32, ::-1], views[0].image)
    assert (sheet[32:, :32, ::-1] != views[0].image).any()


def test_tensorboard_that_is_not_there(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ModuleNotFoundError, match=r"napari-edgeflow\[train\]"):
        Trainer(dataclasses.replace(config, tensorboard=True, steps=1)).run()


def test_tensorboard_gets_the_log(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in takes the place of the package, which few have."""
    written: list[tuple[str, float, int]] = []

    class Writer:
        def __init__(self, folder: str, purge_step: int) -> None:
            assert (Path(folder).name, purge_step) == ("events", 1)

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((name, value, step))

        def close(self) -> None:
            written.append(("closed", 0, 0))

    package, module = ModuleType("tensorboard"), ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorboard", package)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    Trainer(dataclasses.replace(config, tensorboard=True, steps=2, log_every=2)).run()
    loss = _log(config)[0]["loss"]
    assert written[0][1] == pytest.approx(loss)
    assert (written[0][0], written[0][2]) == ("loss", 2)
    assert [name for name, *_ in written[1:]] == ["iou", "iou_first_click", "rate", "closed"]


def test_data_without_objects_is_a_plain_error(config: TrainConfig) -> None:
    with pytest.raises(DatasetError, match="at least one data set"):
        Trainer(dataclasses.replace(config, data=())).run()


@pytest.fixture(autouse=True)
def _no_threads_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before
