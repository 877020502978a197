"""Fine-tuning: split the objects, judge, train, judge again, and keep what got better."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from napari_edgeflow.errors import EdgeFlowError

if TYPE_CHECKING:
    from napari_edgeflow.training.finetune import Split
    from napari_edgeflow.zoo.catalog import WeightsInfo

MAX_CLICKS = 10
BEFORE_ENDS, TRAINING_ENDS = 0.1, 0.9

Tell = Callable[[str, float, str], None]
"""Called with the stage, the share of the whole that is done, and a line of text."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asks for.

    Attributes:
        data: Data set with the objects, as ``open_dataset`` takes it.
        start: Name or file of the model to start from.
        minutes: Length of the training.
        out: Folder for everything that is made on the way.
        name: Of the new model.
        keep: Keep the new model even when it is not better.
        seed: Of all randomness.
    """

    data: str
    start: str
    minutes: float
    out: Path
    name: str
    keep: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Score:
    """How a model did on the held-out objects.

    Attributes:
        clicks: Mean clicks to an IoU of 0.85; a failure counts as 10.
        iou: Mean IoU over the clicks, which decides between equals.
    """

    clicks: float
    iou: float

    def is_better_than(self, other: Score) -> bool:
        """True for fewer clicks, or as many with a better mask."""
        return (self.clicks, -self.iou) < (other.clicks, -other.iou)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out.

    Attributes:
        model: Name under which the new model is listed.
        path: Its file.
        before: Score of the model that it started from.
        after: Score of the new one.
        kept: Name of the model that had this name before, None when there was none.
    """

    model: str
    path: Path
    before: Score
    after: Score
    kept: str | None


def finetune(request: Request, tell: Tell) -> Outcome:
    """Improves a model on the user's objects and lists it under the user's models.

    Raises:
        ValueError: The new model is not better than the one it started from, or than the one
            that has its name, and ``keep`` is False.
        EdgeFlowError: Data, weights or disk.
    """
    from napari_edgeflow.training.finetune import open_objects, split_objects
    from napari_edgeflow.zoo.catalog import find_model

    _check_request(request)
    info = find_model(request.start)
    tell("before", 0.0, "Reading the objects")
    try:
        split = split_objects(open_objects(request.data), request.out, request.seed)
    except OSError as error:
        raise EdgeFlowError(
            f"{request.out} cannot be written to ({error}); choose another folder with --out"
        ) from error
    n = f"{split.n_train} objects to learn from, {split.n_held_out} to judge by"
    tell("before", 0.02, n)
    before = _score(request, split, str(request.start), "before", tell)
    _train(request, split, info, tell)
    trained = request.out / "run" / "weights.safetensors"
    after = _score(request, split, str(trained), "after", tell)
    return _keep(request, split, trained, before, after, tell)


def _check_request(request: Request) -> None:
    """Refuse what cannot be done, before anything is read.

    Raises:
        ValueError: Says what to change.
    """
    from napari_edgeflow.zoo.catalog import list_models

    if request.minutes <= 0:
        raise ValueError(f"expected minutes of more than 0, got {request.minutes:g}")
    if request.out.exists() and any(request.out.iterdir()):
        raise ValueError(f"{request.out} is not empty; choose another folder with --out")
    if not request.name or not set(request.name) <= _ALLOWED or request.name.startswith("."):
        raise ValueError(
            f"expected a name of letters, digits, '-', '_' and '.', got {request.name!r}; "
            "choose another with --name"
        )
    if request.name in ("default", *(m.name for m in list_models() if m.bundled)):
        raise ValueError(
            f"{request.name} is the name of a bundled model; choose another with --name"
        )


_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def _score(request: Request, split: Split, model: str, stage: str, tell: Tell) -> Score:
    """How the model does on the held-out objects, by the harness of ``evaluate``."""
    from napari_edgeflow.evaluation.evaluate import Evaluation, run_evaluation
    from napari_edgeflow.evaluation.sources import ModelSource

    start, end = (0.02, BEFORE_ENDS) if stage == "before" else (TRAINING_ENDS, 1.0)

    def on_progress(what: str, done: int, total: int) -> None:
        if what == "Clicking":
            share = start + (end - start) * done / max(total, 1)
            tell(stage, share, f"{done} of {total} objects judged")

    evaluation = Evaluation(
        ModelSource(model), (split.held_out,), view="3x", max_clicks=MAX_CLICKS, seed=request.seed
    )
    report = run_evaluation(evaluation, request.out / stage, on_progress=on_progress)
    (summary,) = report.datasets
    return Score(summary.noc85, statistics.fmean(summary.miou_at))


def _train(request: Request, split: Split, info: WeightsInfo, tell: Tell) -> None:
    """Trains from the weights of ``info`` into ``out/run``."""
    from napari_edgeflow.cli.train import trained
    from napari_edgeflow.inference.device import prefers_bfloat16, resolve_device
    from napari_edgeflow.training.finetune import finetune_config
    from napari_edgeflow.training.loop import Trainer
    from napari_edgeflow.zoo.build import build_network

    side = info.input_side or build_network(info.network).spec.input_side
    config = finetune_config(
        info.network,
        align=info.align,
        side=side,
        data=split.train,
        out=request.out / "run",
        minutes=request.minutes,
        seed=request.seed,
        bf16=prefers_bfloat16(resolve_device()),
    )

    def log(line: str) -> None:
        share = BEFORE_ENDS + (TRAINING_ENDS - BEFORE_ENDS) * trainer.progress
        tell("training", share, line)

    trainer = Trainer(config, start_from=info.path, log=log)
    trainer.metadata = {
        "input_side": str(side),
        "summary": f"{info.name}, improved on {split.n_train} objects of {request.data}",
        "licence": info.licence,
        "fine_tuned_from": f"{info.name} (sha256 {info.sha256})",
        "date": datetime.now(UTC).date().isoformat(),
    }
    trained(trainer)


def _keep(
    request: Request, split: Split, trained: Path, before: Score, after: Score, tell: Tell
) -> Outcome:
    """Puts the new weights among the user's models, unless it would be a step back.

    Raises:
        ValueError: It would, and ``keep`` is False.
        WeightsError: The model folder cannot be written to.
    """
    from napari_edgeflow.zoo.catalog import file_sha256
    from napari_edgeflow.zoo.store import make_folder, models_folder, pin, write_atomically

    if not request.keep and not after.is_better_than(before):
        raise ValueError(_refusal(request.start, before, after, trained))
    path = models_folder() / f"{request.name}.safetensors"
    kept: str | None = None
    if path.exists():
        previous = _score(request, split, request.name, "previous", tell)
        if not request.keep and not after.is_better_than(previous):
            raise ValueError(_refusal(request.name, previous, after, trained))
        kept = _set_aside(path)
    make_folder(path.parent)
    write_atomically(path, trained.read_bytes())
    pin(path.name, file_sha256(path))
    return Outcome(request.name, path, before, after, kept)


def _set_aside(path: Path) -> str:
    """Keeps the model that is there as the first free ``NAME-old1``, ``NAME-old2`` …."""
    from napari_edgeflow.zoo.catalog import file_sha256
    from napari_edgeflow.zoo.store import pin, write_atomically

    number = 1
    while (old := path.with_name(f"{path.stem}-old{number}.safetensors")).exists():
        number += 1
    write_atomically(old, path.read_bytes())
    pin(old.name, file_sha256(old))
    return old.stem


def _refusal(model: str, old: Score, new: Score, trained: Path) -> str:
    return (
        f"the new model is not better than {model} on the held-out objects: {new.clicks:.2f} "
        f"clicks to an IoU of 0.85 (mean IoU {new.iou:.3f}), {model} {old.clicks:.2f} "
        f"({old.iou:.3f}). {model} stays as it is; the new weights are in {trained}. Add "
        "objects, train longer, or keep the new model all the same with --keep"
    )


def json_line(stage: str, share: float, text: str) -> str:
    """A line of progress for programs."""
    return json.dumps({"stage": stage, "progress": round(share, 4), "text": text})


def as_json(outcome: Outcome) -> str:
    """The last line for programs."""
    return json.dumps(
        {
            "stage": "done",
            "progress": 1.0,
            "model": outcome.model,
            "path": str(outcome.path),
            "before": outcome.before.clicks,
            "after": outcome.after.clicks,
            "kept": outcome.kept,
            "text": in_words(outcome),
        }
    )


def in_words(outcome: Outcome) -> str:
    """The result for people."""
    aside = f" The one before is now called {outcome.kept}." if outcome.kept else ""
    return (
        f"Clicks to an IoU of 0.85 on the held-out objects: {outcome.before.clicks:.2f} before, "
        f"{outcome.after.clicks:.2f} after. The new model is called {outcome.model}.{aside}"
    )
