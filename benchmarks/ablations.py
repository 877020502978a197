"""What each part of the system is worth: short trainings that differ in one thing.

``python benchmarks/ablations.py DATA OUT [NAME...]`` trains every variant below (or those that are
named) for the same number of steps on ``DATA/train``, lets the simulated user click on objects of
``DATA/val``, and prints a Markdown table: mean IoU after 1, 3 and 5 clicks and the paired
difference to the first variant. What ``OUT`` already holds is not done again.

The trainings are far too short to tell how good a network gets; the row that differs in nothing
but its seed tells how much of a difference is chance.
"""

from __future__ import annotations

import argparse
import csv
import random
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

_COMMAND = [
    sys.executable,
    "-c",
    "import sys; from napari_edgeflow.cli import main; sys.exit(main())",
]
_SHARES = {"micro_": 0.33, "nat_": 0.45, "rs_": 0.2, "med_": 0.02}
_CLICKS = (1, 3, 5)
_RESAMPLED = 2000


@dataclass(frozen=True, slots=True)
class Variant:
    """One training.

    Attributes:
        network: Registered name, with its settings.
        mask_loss: Of the mask.
        clicks: How the trainer simulates clicks.
        finenet: There is a FineNet, trained from the middle of the run on.
        seed: Of all randomness.
    """

    network: str = "edgeflow-18s"
    mask_loss: str = "nfl"
    clicks: str = "recycle"
    finenet: bool = True
    seed: int = 1


VARIANTS: dict[str, Variant] = {
    "EdgeFlow-18s": Variant(),
    "another seed": Variant(seed=2),
    "no FineNet": Variant("edgeflow-18s:parts=ef", finenet=False),
    "no EF, no FineNet, mask fed back": Variant(
        "edgeflow-18s:parts=baseline,prior=mask", finenet=False
    ),
    "no EF, no FineNet, nothing fed back": Variant(
        "edgeflow-18s:parts=baseline,prior=none", finenet=False
    ),
    "mask fed back": Variant("edgeflow-18s:prior=mask"),
    "Sobel edges instead": Variant("edgeflow-18s:prior=sobel"),
    "nothing fed back": Variant("edgeflow-18s:prior=none"),
    "flow aligns the image": Variant("edgeflow-18s:align=image"),
    "colour cues": Variant("edgeflow-18s-cues"),
    "BCE": Variant(mask_loss="bce"),
    "BA-CE": Variant(mask_loss="ba_ce"),
    "random clicks": Variant(clicks="random"),
    "iterative clicks": Variant(clicks="iterative"),
    "RITM-18s, disks": Variant("ritm-h18s", finenet=False),
    "RITM-18s, distance maps": Variant(
        "ritm-h18s:encoding=distance,click_radius_px=255", finenet=False
    ),
    "no EF, no FineNet, mask fed back, BCE": Variant(
        "edgeflow-18s:parts=baseline,prior=mask", mask_loss="bce", finenet=False
    ),
    "RITM-18s, disks, BCE": Variant("ritm-h18s", mask_loss="bce", finenet=False),
    "RITM-18s, distance maps, BCE": Variant(
        "ritm-h18s:encoding=distance,click_radius_px=255", mask_loss="bce", finenet=False
    ),
    "no FineNet, BCE": Variant("edgeflow-18s:parts=ef", mask_loss="bce", finenet=False),
}


@dataclass(frozen=True, slots=True)
class Budget:
    """What every variant gets: training steps, views a step, their side, objects a data set."""

    steps: int
    batch: int
    side: int
    objects: int


@dataclass(slots=True)
class Outcome:
    """IoU after 1, 3 and 5 clicks of each object by its name, and minutes of training."""

    ious: dict[str, tuple[float, ...]] = field(default_factory=dict)
    minutes: float = 0.0


def main() -> int:
    """0; prints the table."""
    parser = argparse.ArgumentParser(description="Short trainings that differ in one thing.")
    parser.add_argument("data", type=Path, help="folder with train/ and val/")
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="*", default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--objects", type=int, default=6, help="of each val set")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in VARIANTS]
    if unknown:
        parser.error(f"expected variants ({', '.join(VARIANTS)}), got {', '.join(unknown)}")
    budget = Budget(given.steps, given.batch, given.side, given.objects)
    outcomes = {}
    for name in given.names:
        outcomes[name] = _judge(VARIANTS[name], given.data, given.out / _slug(name), budget)
        print("\n".join(table(outcomes)), flush=True)
    return 0


def config_toml(variant: Variant, folders: list[Path], out: Path, budget: Budget) -> str:
    """The training's configuration."""
    data = ",\n".join(f'    "{folder.as_posix()}"' for folder in folders)
    has = {folder.name for folder in folders}
    shares = "\n".join(
        f"{prefix} = {share}"
        for prefix, share in _SHARES.items()
        if any(name.startswith(prefix) for name in has)
    )
    phase = (
        f"[[phases]]\nuntil = {{until}}\nside = {budget.side}\nbatch = {budget.batch}\n"
        f'clicks = "{variant.clicks}"\nfinenet = {{finenet}}\n'
    )
    second = phase.format(until=1.0, finenet=str(variant.finenet).lower())
    return (
        f'network = "{variant.network}"\nout = "{out.as_posix()}"\nsteps = {budget.steps}\n'
        f"learning_rate = 1e-3\npictures = false\nsave_minutes = 60.0\nseed = {variant.seed}\n"
        f'data = [\n{data},\n]\n[losses]\nmask = "{variant.mask_loss}"\n[shares]\n{shares}\n'
        + phase.format(until=0.5, finenet="false")
        + second
    )


def table(outcomes: dict[str, Outcome]) -> list[str]:
    """Lines of the table; the first outcome is what the others are compared with."""
    reference = next(iter(outcomes.values()))
    lines = [
        "| variant | IoU after 1, 3, 5 clicks | difference, mean of the three (95 %) | minutes |",
        "| --- | --- | --- | --: |",
    ]
    for name, outcome in outcomes.items():
        means = [statistics.fmean(o[k] for o in outcome.ious.values()) for k in range(len(_CLICKS))]
        cell = " · ".join(f"{mean:.3f}" for mean in means)
        low, middle, high = _difference(reference, outcome)
        gap = "" if outcome is reference else f"{middle:+.3f} ({low:+.3f} to {high:+.3f})"
        lines.append(f"| {name} | {cell} | {gap} | {outcome.minutes:.1f} |")
    return lines


def _judge(variant: Variant, data: Path, out: Path, budget: Budget) -> Outcome:
    """Train and evaluate, as far as that was not done."""
    folders = sorted(folder for folder in (data / "train").iterdir() if folder.is_dir())
    weights, took = out / "weights.safetensors", out / "minutes.txt"
    if not took.exists():
        out.mkdir(parents=True, exist_ok=True)
        config = out.with_suffix(".toml")
        config.write_text(config_toml(variant, folders, out, budget), encoding="utf-8")
        began = time.monotonic()
        subprocess.run([*_COMMAND, "train", str(config)], check=True)
        took.write_text(f"{(time.monotonic() - began) / 60:.2f}\n", encoding="utf-8")
    judged = out.with_name(f"{out.name}-val")
    if not (judged / "report.json").exists():
        val = sorted(str(folder) for folder in (data / "val").iterdir() if folder.is_dir())
        arguments = ["--model", str(weights), "--view", "3x", "--max-clicks", str(_CLICKS[-1])]
        arguments += ["--max-objects", str(budget.objects), "--out", str(judged), "--resume"]
        subprocess.run([*_COMMAND, "evaluate", *val, *arguments], check=True)
    return Outcome(_read_ious(judged), float(took.read_text(encoding="utf-8")))


def _read_ious(judged: Path) -> dict[str, tuple[float, ...]]:
    """IoU after 1, 3 and 5 clicks of each object; the last one where the user was content."""
    found = {}
    with (judged / "objects.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = f"{row['dataset']}/{row['sample']}/{row['object_id']}"
            curve = [float(value) for value in row["ious"].split()]
            found[key] = tuple(curve[min(k, len(curve)) - 1] for k in _CLICKS)
    return found


def _difference(reference: Outcome, other: Outcome) -> tuple[float, float, float]:
    """Low end, mean and high end of the paired difference, by the bootstrap over objects."""
    keys = sorted(set(reference.ious) & set(other.ious))
    gaps = [statistics.fmean(other.ious[k]) - statistics.fmean(reference.ious[k]) for k in keys]
    rng = random.Random(0)
    means = sorted(statistics.fmean(rng.choices(gaps, k=len(gaps))) for _ in range(_RESAMPLED))
    low, high = means[int(0.025 * _RESAMPLED)], means[int(0.975 * _RESAMPLED)]
    return low, statistics.fmean(gaps), high


def _slug(name: str) -> str:
    return "ablation-" + "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


if __name__ == "__main__":
    sys.exit(main())
