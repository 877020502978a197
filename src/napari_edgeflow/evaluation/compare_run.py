"""Comparisons from the command line: of models on data sets, or of reports that are there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_edgeflow.errors import EdgeFlowError
from napari_edgeflow.evaluation.compare_report import Comparison, write_comparison
from napari_edgeflow.evaluation.evaluate import Evaluation, IdentifiedSource, run_evaluation
from napari_edgeflow.evaluation.records import read_records
from napari_edgeflow.evaluation.results import make_folder
from napari_edgeflow.evaluation.run import OnProgress

_OF_A_MODEL = frozenset(
    {"model", "weights_sha256", "device", "zoom", "zoom_side", "flip", "folders", "workers"}
)
"""Settings that may differ: the objects' names say which data they are of."""


def run_comparison(
    evaluation: Evaluation,
    sources: Sequence[IdentifiedSource],
    out: Path,
    *,
    workers: int = 1,
    resume: bool = False,
    on_progress: OnProgress = lambda *_: None,
) -> Comparison:
    """The comparison of ``sources`` on what ``evaluation`` says, also written into ``out``.

    Every model gets a folder of its own there, with its whole report.

    Args:
        evaluation: Data sets and settings; its own source is not used.
        sources: The models, the reference first.
        out: Folder of its own.
        workers: Processes; 1 works in this one.
        resume: Go on with what ``out`` holds.
        on_progress: Told what is going on.

    Raises:
        ValueError: Fewer than two models, or the same one twice.
        EdgeFlowError: As of ``run_evaluation``.
    """
    names = [source.identify()[0] for source in sources]
    if len(names) < 2:
        raise ValueError(f"expected at least two models to compare, got {', '.join(names) or 0}")
    labels = _unique(names, sources)
    # every folder is checked by its own evaluation; a wrong model must not show after hours
    for source in sources:
        source.find_device()
    folders = []
    for label, source in zip(labels, sources, strict=True):
        run_evaluation(
            replace(evaluation, source=source),
            out / label,
            workers=workers,
            resume=resume and (out / label / "objects.csv").exists(),
            on_progress=lambda what, *numbers, label=label: on_progress(
                f"{label}: {what}", *numbers
            ),
        )
        folders.append(out / label)
    return compare_reports(folders, out, names=labels, seed=evaluation.seed)


def compare_reports(
    folders: Sequence[Path], out: Path, *, names: Sequence[str] | None = None, seed: int = 0
) -> Comparison:
    """The comparison of evaluations that are there, also written into ``out``.

    Objects that not all of them clicked on are left out.

    Args:
        folders: Folders of reports, the reference first.
        out: Folder for the comparison.
        names: For the reports; their models' own, or their folders' where these are not unique,
            when None.
        seed: Of the resampling.

    Raises:
        ValueError: Fewer than two folders, or no object in common.
        EdgeFlowError: A folder holds no report, or their settings differ.
    """
    if len(folders) < 2:
        raise ValueError(f"expected at least two reports to compare, got {len(folders)}")
    settings = [_read_settings(folder) for folder in folders]
    _check_settings(folders, settings)
    if names is None:
        names = [str(s["model"]) for s in settings]
        names = names if len(set(names)) == len(names) else [str(f) for f in folders]
    records = {
        name: {record.key: record for record in read_records(folder / "objects.csv")}
        for name, folder in zip(names, folders, strict=True)
    }
    hashes = [s["weights_sha256"] for s in settings]
    make_folder(out)
    return write_comparison(
        dict(zip(names, hashes, strict=True)),
        records,
        {k: v for k, v in settings[0].items() if k not in _OF_A_MODEL - {"folders"}},
        out,
        max_clicks=settings[0]["max_clicks"],
        seed=seed,
    )


def _unique(names: Sequence[str], sources: Sequence[IdentifiedSource]) -> list[str]:
    """Names that are folders too; weights files of one name get their folder's as well."""
    labels = []
    for name, source in zip(names, sources, strict=True):
        path = Path(getattr(source, "model", name))
        is_unique = names.count(name) == 1
        labels.append(name if is_unique else f"{path.resolve().parent.name}_{name}")
    for label in labels:
        if labels.count(label) > 1:
            raise ValueError(f"expected different models to compare, got {label} twice")
    return labels


def _read_settings(folder: Path) -> dict[str, Any]:
    """What ``settings.json`` says.

    Raises:
        EdgeFlowError: It is not there or not whole, or the evaluation has not come to its end.
    """
    try:
        settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
        missing = {"model", "weights_sha256", "max_clicks"} - set(settings)
    except (OSError, ValueError, TypeError) as error:
        raise EdgeFlowError(f"{folder}: expected the folder of an evaluation ({error})") from error
    if missing or not (folder / "report.json").is_file():
        raise EdgeFlowError(
            f"{folder}: expected a finished evaluation; finish it with evaluate --resume"
        )
    return dict(settings)


def _check_settings(folders: Sequence[Path], settings: Sequence[Mapping[str, object]]) -> None:
    """Raise EdgeFlowError unless all were made under the same conditions."""
    keys = sorted({key for one in settings for key in one} - _OF_A_MODEL)
    changed = [k for k in keys if any(one.get(k) != settings[0].get(k) for one in settings)]
    if changed:
        what = "; ".join(
            f"{key}: {', '.join(f'{one.get(key)!r}' for one in settings)}" for key in changed
        )
        raise EdgeFlowError(
            f"expected reports of the same settings, but these differ ({what}) in "
            f"{', '.join(str(folder) for folder in folders)}"
        )
