"""What a training run is made of, read from one TOML file."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path


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
        out: Folder for the pack, checkpoints and log.
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
    """The run that a TOML file describes.

    Raises:
        ValueError: The file is no TOML or has keys that are not known, all named at once.
        OSError: The file cannot be read.
    """
    values = tomllib.loads(path.read_text())
    known = {item.name for item in dataclasses.fields(TrainConfig)}
    unknown = sorted(set(values) - known)
    phases = values.get("phases", [])
    known_phase = {item.name for item in dataclasses.fields(Phase)}
    unknown += sorted({f"phases.{key}" for phase in phases for key in set(phase) - known_phase})
    if unknown:
        raise ValueError(
            f"{path}: unknown settings {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        )
    if phases:
        values["phases"] = tuple(Phase(**phase) for phase in phases)
    if "data" in values:
        values["data"] = tuple(values["data"])
    return TrainConfig(**values)
