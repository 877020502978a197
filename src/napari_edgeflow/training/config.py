"""What a training run is made of, read from one TOML file."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SMALLEST_SIDE = 32


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of a run.

    Attributes:
        until: Share of the run at which the phase ends, in (0, 1].
        side: Side of the square views in pixels.
        batch: Views a step.
        finenet: Train FineNet too (EdgeFlow's second stage).
        max_clicks: Most clicks a view collects before it is dropped.
    """

    until: float
    side: int
    batch: int
    finenet: bool = False
    max_clicks: int = 6


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Settings of a run.

    Attributes:
        network: Registered name of the architecture.
        data: Folders of data sets (``images/`` and ``masks/``).
        out: Folder for checkpoints and log; the pack lies beside it.
        minutes: Length of the run; the schedules follow the clock.
        phases: In order; the last one ends at 1.
        learning_rate: Peak of AdamW's, after a short warm-up; cosine to 2 % of it.
        weight_decay: Of AdamW.
        again: Chance that a view comes back with one click more.
        shares: Share of each domain, by prefix of the data sets' names.
        align: Overrides the network's align target when not empty.
        bf16: Mixed precision with bfloat16.
        seed: Of all randomness.
    """

    network: str = "edgeflow-18s"
    data: tuple[str, ...] = ()
    out: str = "runs/default"
    minutes: float = 60.0
    phases: tuple[Phase, ...] = (Phase(0.6, 160, 12), Phase(1.0, 256, 8, finenet=True))
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    again: float = 0.65
    shares: dict[str, float] = field(default_factory=dict)
    align: str = ""
    bf16: bool = True
    seed: int = 0


def read_config(path: Path) -> TrainConfig:
    """The run that a TOML file describes; paths in it are relative to the current folder.

    Raises:
        ValueError: The file cannot be read, is no TOML, or has settings that are unknown or
            impossible; all of them are named at once.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise ValueError(f"expected a TOML file with the settings of a run: {path}: {error}") from (
            error
        )
    wrong = [*_unknown(values, text), *_wrong_types(values)]
    if not wrong:
        config = _build(values)
        wrong = list(_impossible(config))
    if wrong:
        raise ValueError(f"{path} cannot be used:\n" + "\n".join(f"  {line}" for line in wrong))
    return config


def _build(values: dict[str, Any]) -> TrainConfig:
    """The settings, their names and types already checked."""
    given = dict(values)
    if "data" in given:
        given["data"] = tuple(given["data"])
    if "phases" in given:
        given["phases"] = tuple(Phase(**phase) for phase in given["phases"])
    return TrainConfig(**given)


def _phases(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The tables under ``[[phases]]``, as far as they are tables."""
    phases = values.get("phases", [])
    items = phases if isinstance(phases, list) else []
    return [phase for phase in items if isinstance(phase, dict)]


def _unknown(values: dict[str, Any], text: str) -> Iterator[str]:
    """One line for every key that no setting has, and for every phase without its own."""
    known = [item.name for item in dataclasses.fields(TrainConfig)]
    for key in values:
        if key not in known:
            yield f"{_line(text, key)}unknown setting {key}; known are {', '.join(known)}"
    inner = [item.name for item in dataclasses.fields(Phase)]
    for key in dict.fromkeys(key for phase in _phases(values) for key in phase):
        if key not in inner:
            yield f"{_line(text, key)}unknown setting phases.{key}; known are {', '.join(inner)}"


def _line(text: str, key: str) -> str:
    """``line 7: `` for the first line that sets or opens ``key``, or nothing."""
    pattern = re.compile(rf"\s*(\[+\s*)?[\"']?{re.escape(key)}[\"']?\s*[=.\]]")
    for number, line in enumerate(text.splitlines(), start=1):
        if pattern.match(line):
            return f"line {number}: "
    return ""


def _wrong_types(values: dict[str, Any]) -> Iterator[str]:
    """One line for every known setting whose value is of another type."""
    yield from _of_type(values, TrainConfig, "")
    phases = values.get("phases", [])
    if not isinstance(phases, list) or any(not isinstance(item, dict) for item in phases):
        yield "phases must be tables, each under its own [[phases]]"
    for number, phase in enumerate(_phases(values), start=1):
        yield from _of_type(phase, Phase, f"phase {number}: ")
        missing = [name for name in ("until", "side", "batch") if name not in phase]
        if missing:
            yield f"phase {number}: needs {', '.join(missing)}"
    data, shares = values.get("data", []), values.get("shares", {})
    if not isinstance(data, list) or any(not isinstance(item, str) for item in data):
        yield f'data must be a list of folders such as ["cells/train"], got {data!r}'
    if not isinstance(shares, dict) or any(_number(item) is None for item in shares.values()):
        yield f"shares must be a table of numbers by prefix, got {shares!r}"


def _of_type(values: dict[str, Any], owner: type, where: str) -> Iterator[str]:
    """One line for every plain setting of ``owner`` whose value has another type."""
    wanted = {
        "str": "a text",
        "int": "a whole number",
        "float": "a number",
        "bool": "true or false",
    }
    for item in dataclasses.fields(owner):
        name, kind = item.name, str(item.type)
        if name not in values or kind not in wanted:
            continue
        value = values[name]
        is_right = _number(value) is not None if kind == "float" else type(value).__name__ == kind
        if not is_right:
            yield f"{where}{name} must be {wanted[kind]}, got {value!r}"


def _number(value: object) -> float | None:
    """The value when it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < float("inf") else None


def _impossible(config: TrainConfig) -> Iterator[str]:
    """One line for every value that no run can have."""
    if config.minutes <= 0:
        yield f"minutes must be more than 0, got {config.minutes:g}"
    if config.learning_rate <= 0:
        yield f"learning_rate must be more than 0, got {config.learning_rate:g}"
    if config.weight_decay < 0:
        yield f"weight_decay must not be negative, got {config.weight_decay:g}"
    if not 0 <= config.again < 1:
        yield f"again must lie in [0, 1), got {config.again:g}"
    if config.seed < 0:
        yield f"seed must not be negative, got {config.seed}"
    for prefix, share in config.shares.items():
        if share <= 0:
            yield f"shares.{prefix} must be more than 0, got {share:g}"
    ends = [phase.until for phase in config.phases]
    if not ends or ends[-1] != 1 or any(b <= a for a, b in zip([0.0, *ends], ends, strict=False)):
        yield f"until must rise from phase to phase and end at 1, got {ends}"
    for number, phase in enumerate(config.phases, start=1):
        if phase.side < SMALLEST_SIDE:
            yield f"phase {number}: side must be at least {SMALLEST_SIDE}, got {phase.side}"
        if phase.batch < 2:
            yield f"phase {number}: batch must be at least 2 (batch norm), got {phase.batch}"
        if phase.max_clicks < 1:
            yield f"phase {number}: max_clicks must be at least 1, got {phase.max_clicks}"
