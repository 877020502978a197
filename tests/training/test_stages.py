"""Rates, schedules, frozen and copied parts against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from napari_edgeflow.nn.base import InteractiveNetwork, NetworkSpec
from napari_edgeflow.training.settings import Phase, TrainConfig
from napari_edgeflow.training.stages import (
    build_optimiser,
    check_prefixes,
    copy_parts,
    schedule,
    set_modes,
    set_rates,
)


class Parts(InteractiveNetwork):
    """Two equal parts with a batch norm each, and a head within a head."""

    def __init__(self) -> None:
        super().__init__(NetworkSpec())
        self.coarse = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.fine = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.head = nn.ModuleDict({"edge": nn.Conv2d(4, 1, 1), "mask": nn.Conv2d(4, 1, 1)})
        self.head2 = nn.Conv2d(4, 1, 1)


def _config(*phases: Phase, **changes: object) -> TrainConfig:
    return TrainConfig(phases=phases, warm_up=0, learning_rate=1.0, **changes)  # type: ignore[arg-type]


def _rates(network: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, float]:
    by_id = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    return {name: by_id[id(p)] for name, p in network.named_parameters()}


def test_edgeflow_s_second_stage() -> None:
    """A tenth of the rate for one part, in the second phase only; longest prefixes win."""
    network = Parts()
    phases = (
        Phase(0.5, 32, 2),
        Phase(1, 32, 2, rates={"coarse": 0.1, "head": 0.5, "head.edge": 0.0}),
    )
    config = _config(*phases, schedule="step")
    optimiser = build_optimiser(config, network)
    set_rates(optimiser, config, 0.2, 0)
    assert set(_rates(network, optimiser).values()) == {1.0}
    set_rates(optimiser, config, 0.6, 0)
    found = _rates(network, optimiser)
    expected = {"coarse.0.weight": 0.1, "fine.0.weight": 1.0, "head.edge.weight": 0.0}
    expected |= {"head.mask.weight": 0.5, "head2.weight": 1.0}
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "progress", "expected"),
    [
        ("cosine", 0.0, 1.0),
        ("cosine", 0.25, 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi / 4))),
        ("cosine", 1.0, 0.02),
        ("poly", 0.0, 1.0),
        ("poly", 0.4, 0.02 + 0.98 * 0.6**0.9),
        ("poly", 1.0, 0.02),
        ("step", 0.9, 1.0),
        ("step", 50.5 / 55, 0.1),
        ("step", 54 / 55, 0.01),
    ],
)
def test_schedules(name: str, progress: float, expected: float) -> None:
    assert schedule(_config(Phase(1, 32, 2), schedule=name), progress) == pytest.approx(expected)


def test_schedules_that_begin_anew_with_every_phase() -> None:
    config = _config(Phase(0.4, 32, 2), Phase(1, 32, 2), schedule="poly", restarts=True)
    for progress, local in ((0.0, 0.0), (0.2, 0.5), (0.4, 0.0), (0.7, 0.5), (1.0, 1.0)):
        expected = 0.02 + 0.98 * (1 - local) ** 0.9
        assert schedule(config, progress) == pytest.approx(expected), progress


def test_the_rate_rises_over_the_warm_up() -> None:
    network = Parts()
    config = TrainConfig(phases=(Phase(1, 32, 2),), warm_up=4, learning_rate=2.0)
    optimiser = build_optimiser(config, network)
    rates = []
    for step in range(6):
        set_rates(optimiser, config, 0.0, step)
        rates.append(optimiser.param_groups[0]["lr"])
    assert rates == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0, 2.0])


def test_frozen_parts_keep_weights_and_statistics() -> None:
    network = Parts()
    set_modes(network, Phase(1, 32, 2, train=("fine", "head.edge")))
    learns = {name for name, p in network.named_parameters() if p.requires_grad}
    assert learns == {
        *(f"fine.{n}" for n in ("0.weight", "0.bias", "1.weight", "1.bias")),
        "head.edge.weight",
        "head.edge.bias",
    }
    assert network.training
    assert network.fine[1].training
    assert not network.coarse[1].training
    assert not network.refines
    set_modes(network, Phase(1, 32, 2, finenet=True, freeze_norms=True))
    assert network.refines
    assert all(p.requires_grad for p in network.parameters())
    assert not network.coarse[1].training
    assert network.coarse[0].training


def test_the_fine_network_starts_as_the_coarse_one() -> None:
    network = Parts()
    state = network.state_dict()
    assert not torch.equal(state["fine.0.weight"], state["coarse.0.weight"])
    copy_parts(state, {"fine": "coarse"})
    filled = network.state_dict()
    assert torch.equal(filled["fine.0.weight"], filled["coarse.0.weight"])
    with pytest.raises(ValueError, match=r"head\.edge\.weight has no counterpart"):
        copy_parts(state, {"head": "coarse"})


def test_prefixes_that_name_nothing_are_all_told() -> None:
    phases = [Phase(1, 32, 2, train=("fin",), rates={"coarse": 1, "body": 0.1}, copy={"a": "fine"})]
    with pytest.raises(ValueError, match="expected prefixes") as caught:
        check_prefixes(Parts(), phases)
    for part in ("train names 'fin'", "rates names 'body'", "copy names 'a'", "coarse, fine, head"):
        assert part in str(caught.value)
    check_prefixes(Parts(), [Phase(1, 32, 2, train=("head.mask",), copy={"fine": "coarse"})])


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)],
)
def test_optimisers(name: str, kind: type) -> None:
    optimiser = build_optimiser(_config(Phase(1, 32, 2), optimiser=name), Parts())
    assert type(optimiser) is kind
    assert optimiser.defaults.get("nesterov", True)
