"""Values that no run can have, each with what is expected instead."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from napari_edgeflow.training.settings import (
    CLICK_RULES,
    LOSS_NAMES,
    OPTIMISERS,
    SCHEDULES,
    Phase,
    TrainConfig,
)

SMALLEST_SIDE = 32

_CHOICES = {
    "clicks": CLICK_RULES,
    "mask": LOSS_NAMES,
    "edge": LOSS_NAMES,
    "aux": LOSS_NAMES,
    "schedule": SCHEDULES,
    "optimiser": OPTIMISERS,
}

_Rule = tuple[Callable[[float], bool], str]
_POSITIVE: _Rule = (lambda v: v > 0, "be more than 0")
_NOT_NEGATIVE: _Rule = (lambda v: v >= 0, "not be negative")
_AT_LEAST_1: _Rule = (lambda v: v >= 1, "be at least 1")
_SHARE: _Rule = (lambda v: 0 <= v <= 1, "lie in [0, 1]")
_BELOW_1: _Rule = (lambda v: 0 <= v < 1, "lie in [0, 1)")

_RULES: dict[str, _Rule] = {
    "minutes": _POSITIVE,
    "learning_rate": _POSITIVE,
    "save_minutes": _POSITIVE,
    "steps": _NOT_NEGATIVE,
    "weight_decay": _NOT_NEGATIVE,
    "warm_up": _NOT_NEGATIVE,
    "clip": _NOT_NEGATIVE,
    "seed": _NOT_NEGATIVE,
    "mask_weight": _NOT_NEGATIVE,
    "edge_weight": _NOT_NEGATIVE,
    "aux_weight": _NOT_NEGATIVE,
    "extra_clicks": _NOT_NEGATIVE,
    "loaders": _AT_LEAST_1,
    "log_every": _AT_LEAST_1,
    "max_clicks": _AT_LEAST_1,
    "focus": _AT_LEAST_1,
    "final_rate": _SHARE,
    "start_masks": _SHARE,
    "merge": _SHARE,
    "again": _BELOW_1,
    "average": _BELOW_1,
    "side": (lambda v: v >= SMALLEST_SIDE, f"be at least {SMALLEST_SIDE}"),
    "batch": (lambda v: v >= 2, "be at least 2 (batch norm)"),
}


def impossible(config: TrainConfig) -> Iterator[str]:
    """One line for every value that no run can have."""
    yield from _by_rule(config, "")
    yield from _by_rule(config.losses, "losses.")
    for prefix, share in config.shares.items():
        if share <= 0:
            yield f"shares.{prefix} must be more than 0, got {share:g}"
    ends = [phase.until for phase in config.phases]
    if not ends or ends[-1] != 1 or any(b <= a for a, b in zip([0.0, *ends], ends, strict=False)):
        yield f"until must rise from phase to phase and end at 1, got {ends}"
    for number, phase in enumerate(config.phases, start=1):
        yield from _by_rule(phase, f"phase {number}: ")
        yield from _impossible_phase(phase, f"phase {number}: ")


def _impossible_phase(phase: Phase, where: str) -> Iterator[str]:
    smallest, largest = phase.zoom
    if not 1 <= smallest <= largest:
        yield f"{where}zoom must rise from 1 or more, got {list(phase.zoom)}"
    for prefix, rate in phase.rates.items():
        if rate < 0:
            yield f"{where}rates.{prefix} must not be negative, got {rate:g}"


def _by_rule(owner: object, where: str) -> Iterator[str]:
    """One line for every setting of ``owner`` outside its range or its choices."""
    for item in dataclasses.fields(owner):  # type: ignore[arg-type]
        value = getattr(owner, item.name)
        if item.name in _RULES and not _RULES[item.name][0](value):
            shown = f"{value:g}" if isinstance(value, float) else value
            yield f"{where}{item.name} must {_RULES[item.name][1]}, got {shown}"
        if item.name in _CHOICES and value not in _CHOICES[item.name]:
            known = ", ".join(_CHOICES[item.name])
            yield f"{where}{item.name} must be one of {known}, got {value!r}"
