"""One Markdown table of several evaluations, side by side.

``python benchmarks/accuracy_table.py edgeflow=runs/a/report.json edgeflow=runs/b/report.json
grabcut=runs/c/report.json`` prints NoC@85 / NoC@90 · drops for every data set and every kind
of data set; reports with the same name before ``=`` go into the same column.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import TypedDict


class Figures(TypedDict):
    """The part of a report's data set that is shown."""

    dataset: str
    objects: int
    noc85: float
    noc90: float
    drop_rate: float


Column = dict[str, Figures]


def main(arguments: list[str]) -> int:
    """0; prints the table. 2 with a message when the arguments are no reports."""
    columns: dict[str, Column] = {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if not equals or not Path(path).is_file():
            print(f"expected NAME=REPORT.json of a file that is there, got {argument}")
            return 2
        report = json.loads(Path(path).read_text(encoding="utf-8"))
        columns.setdefault(name, {}).update({d["dataset"]: d for d in report["datasets"]})
    print("\n".join(table(columns)))
    return 0


def table(columns: dict[str, Column]) -> list[str]:
    """Lines of the table: the data sets, then the means of their kinds."""
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    kinds = list(dict.fromkeys(name.split("_")[0] for name in names))
    rows = [
        [name, *(_cell([c[name]] if name in c else []) for c in columns.values())] for name in names
    ]
    for kind in kinds:
        members = [name for name in names if name.split("_")[0] == kind]
        # Only data sets that every column has: a mean over others would not compare.
        common = [name for name in members if all(name in c for c in columns.values())]
        cells = [_cell([c[name] for name in common]) for c in columns.values()]
        rows.append([f"**{kind}**, mean of {len(common)}", *cells])
    head = ["NoC@85 / NoC@90 · drops (objects)", *columns]
    lines = [head, ["---"] + ["--:"] * len(columns), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _cell(figures: list[Figures]) -> str:
    """Unweighted means, or a dash."""
    if not figures:
        return "–"
    noc85, noc90, drops = (
        statistics.fmean(f[key] for f in figures) for key in ("noc85", "noc90", "drop_rate")
    )
    objects = sum(f["objects"] for f in figures)
    return f"{noc85:.2f} / {noc90:.2f} · {100 * drops:.0f} % ({objects})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
