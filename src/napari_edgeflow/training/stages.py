"""What learns in a phase, and how fast: parameter groups, schedules, frozen parts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from napari_edgeflow.nn.base import InteractiveNetwork
from napari_edgeflow.training.settings import Phase, TrainConfig

POLY_POWER = 0.9
FIRST_DROP, SECOND_DROP = 50 / 55, 53 / 55


def is_under(name: str, prefixes: Iterable[str]) -> bool:
    """True when ``name`` is one of the prefixes or a part of what one names."""
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def check_prefixes(network: nn.Module, phases: Sequence[Phase]) -> None:
    """Nothing, when every prefix of the phases names some parameters.

    Raises:
        ValueError: Names those that do not, all at once.
    """
    names = list(network.state_dict())
    wanted = [
        (f"phase {number}: {key}", prefix)
        for number, phase in enumerate(phases, start=1)
        for key, prefixes in (
            ("train", phase.train),
            ("rates", phase.rates),
            ("copy", [*phase.copy, *phase.copy.values()]),
        )
        for prefix in prefixes
    ]
    wrong = [
        f"{where} names {prefix!r}"
        for where, prefix in wanted
        if not any(is_under(name, [prefix]) for name in names)
    ]
    if wrong:
        tops = ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
        raise ValueError(
            f"expected prefixes of the network's parameters, got others: {'; '.join(wrong)}; "
            f"its parts are {tops}"
        )


def build_optimiser(config: TrainConfig, network: nn.Module) -> torch.optim.Optimizer:
    """The optimiser, with one group of parameters for each prefix that has a rate.

    A group's ``prefix`` is the longest one that fits; all other parameters have ``""``.
    """
    prefixes = sorted({p for phase in config.phases for p in phase.rates}, key=len, reverse=True)
    groups: dict[str, list[Tensor]] = {}
    for name, parameter in network.named_parameters():
        prefix = next((p for p in prefixes if is_under(name, [p])), "")
        groups.setdefault(prefix, []).append(parameter)
    parts = [{"params": members, "prefix": prefix} for prefix, members in groups.items()]
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimiser == "sgd":
        return torch.optim.SGD(
            parts, lr=rate, momentum=0.9, nesterov=True, weight_decay=decay, fused=True
        )
    kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
    return kind(parts, lr=rate, weight_decay=decay, fused=True)


def schedule(config: TrainConfig, progress: float) -> float:
    """Share of the peak rate at ``progress`` in [0, 1] of the run, without the warm-up."""
    if config.restarts:
        index = config.phase_at(progress)
        start = config.phases[index - 1].until if index else 0.0
        progress = (progress - start) / (config.phases[index].until - start)
    progress = min(max(progress, 0.0), 1.0)
    if config.schedule == "step":
        return 1.0 if progress < FIRST_DROP else 0.1 if progress < SECOND_DROP else 0.01
    if config.schedule == "poly":
        left = float((1 - progress) ** POLY_POWER)
    else:
        left = 0.5 * (1 + math.cos(math.pi * progress))
    return config.final_rate + (1 - config.final_rate) * left


def set_rates(
    optimiser: torch.optim.Optimizer, config: TrainConfig, progress: float, step: int
) -> None:
    """Sets the learning rate of every group for the step after ``step``."""
    warm_up = min(1.0, (step + 1) / config.warm_up) if config.warm_up else 1.0
    rate = config.learning_rate * warm_up * schedule(config, progress)
    rates = config.phases[config.phase_at(progress)].rates
    for group in optimiser.param_groups:
        group["lr"] = rate * _factor(group["prefix"], rates)


def _factor(prefix: str, rates: dict[str, float]) -> float:
    """The factor of the longest prefix in ``rates`` that covers a group, else 1."""
    fitting = [key for key in rates if prefix and is_under(prefix, [key])]
    return rates[max(fitting, key=len)] if fitting else 1.0


def set_modes(network: InteractiveNetwork, phase: Phase) -> None:
    """Puts what learns in ``phase`` into training mode and freezes the rest.

    Frozen parts get no gradients and keep their batch norms' statistics; their containers
    stay in training mode.
    """
    network.train()
    network.refines = phase.finenet
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not phase.train or is_under(name, phase.train))
    for name, module in network.named_modules():
        holds = not name or any(is_under(prefix, [name]) for prefix in phase.train)
        is_frozen = phase.train and not holds and not is_under(name, phase.train)
        if is_frozen or (phase.freeze_norms and isinstance(module, _BatchNorm)):
            module.training = False


def copy_parts(state: dict[str, Tensor], copies: dict[str, str]) -> None:
    """Copies parameters between the parts of a state dict, in place.

    Args:
        state: Of the network; its tensors are written to.
        copies: Prefix of the part to fill to the prefix that it is filled from.

    Raises:
        ValueError: The parts differ.
    """
    for to, source in copies.items():
        names = [name for name in state if is_under(name, [to])]
        pairs = [(name, source + name[len(to) :]) for name in names]
        odd = [n for n, s in pairs if s not in state or state[n].shape != state[s].shape]
        if odd:
            raise ValueError(
                f"expected {to} and {source} to have the same parameters, but {odd[0]} has no "
                "counterpart; drop that line of 'copy'"
            )
        with torch.no_grad():
            for name, other in pairs:
                state[name].copy_(state[other])
