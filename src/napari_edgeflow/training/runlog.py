"""What a run tells while it goes on: a table, two pictures and, if asked for, TensorBoard."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from napari_edgeflow._lazy import import_optional
from napari_edgeflow._types import BoolArray, FloatArray
from napari_edgeflow.training.checkpoint import write_whole
from napari_edgeflow.training.view import View

MOST_SAMPLES = 8
_COLOURS = {"positive": (60, 220, 60), "negative": (240, 50, 50), "boundary": (80, 140, 255)}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of ``log.csv``: means since the line before.

    Attributes:
        step: Steps done.
        progress: Share of the run done.
        loss: Of the batches.
        iou: Of the masks with the objects.
        iou_first_click: Of the views with one click alone.
        elapsed_s: Seconds spent on the run.
        rate: Learning rate of the last step.
    """

    step: int
    progress: float
    loss: float
    iou: float
    iou_first_click: float
    elapsed_s: float
    rate: float


class RunLog:
    """``log.csv``, ``curves.png``, ``samples.png`` and ``events/`` in the folder of a run.

    Args:
        out: The folder.
        step: Lines after this step are dropped: the run goes on from there.
        tensorboard: Write for TensorBoard too.

    Raises:
        ModuleNotFoundError: TensorBoard is asked for and not installed.
    """

    def __init__(self, out: Path, step: int, *, tensorboard: bool = False) -> None:
        self.out = out
        self._path = out / "log.csv"
        self._writer: Any = None
        if tensorboard:
            import_optional("tensorboard", extra="train", needed_for="write TensorBoard logs")
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(out / "events"), purge_step=step + 1)
        if self._path.exists():
            kept = [row for row in read_log(self._path) if row.step <= step]
            self._write(kept, "w")

    def add(self, row: Row) -> None:
        """One more line.

        Raises:
            OSError: The disk is full, or the folder cannot be written to.
        """
        self._write([row], "a" if self._path.exists() else "w")
        if self._writer is not None:
            for name in ("loss", "iou", "iou_first_click", "rate"):
                self._writer.add_scalar(name, getattr(row, name), row.step)

    def _write(self, rows: Sequence[Row], mode: str) -> None:
        with self._path.open(mode, newline="") as file:
            writer = csv.writer(file)
            if mode == "w":
                writer.writerow(field.name for field in fields(Row))
            writer.writerows(astuple(row) for row in rows)

    def draw_curves(self) -> None:
        """Writes ``curves.png``.

        Raises:
            ExportError: It cannot be written.
        """
        rows = read_log(self._path) if self._path.exists() else []
        if not rows:
            return
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 3.2), layout="constrained")
        canvas = FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        steps = [row.step for row in rows]
        left.plot(steps, [row.loss for row in rows], ".-", label="loss")
        right.plot(steps, [row.iou for row in rows], ".-", label="all views")
        right.plot(steps, [row.iou_first_click for row in rows], ".-", label="one click")
        for axes, title in ((left, "loss"), (right, "IoU")):
            axes.set(xlabel="step", title=title)
            axes.grid(alpha=0.3)
        right.legend()
        write_whole(self.out / "curves.png", lambda file: canvas.print_figure(file, dpi=100))

    def draw_samples(self, views: Sequence[View], probs: Sequence[FloatArray]) -> None:
        """Writes ``samples.png``: views as shown, below them what was answered.

        Green lines are the truth, yellow ones the prediction; clicks are green (on the
        object), red (beside it) or blue (on its boundary).

        Raises:
            ExportError: It cannot be written.
        """
        if not views:
            return
        shown = list(zip(views, probs, strict=True))[:MOST_SAMPLES]
        sheet = np.concatenate([_tile(view, prob) for view, prob in shown], axis=1)
        _, encoded = cv2.imencode(".png", np.ascontiguousarray(sheet[..., ::-1]))
        write_whole(self.out / "samples.png", lambda file: file.write(encoded.tobytes()))

    def close(self) -> None:
        """Ends the TensorBoard log."""
        if self._writer is not None:
            self._writer.close()


def read_log(path: Path) -> list[Row]:
    """The lines of a ``log.csv``; a last one that was cut off is left out."""
    rows = []
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            try:
                values = {name: float(line.get(name) or math.nan) for name in _NAMES}
            except (TypeError, ValueError):
                continue
            if not math.isnan(values["step"]):
                rows.append(Row(step=int(values.pop("step")), **values))
    return rows


_NAMES = [field.name for field in fields(Row)]


def _tile(view: View, prob: FloatArray) -> npt.NDArray[np.uint8]:
    """``(2S, S, 3) uint8``: the view, and the view with outlines and clicks."""
    drawn = view.image.copy()
    _outline(drawn, view.truth, (60, 220, 60))
    _outline(drawn, np.asarray(prob > 0.5), (255, 220, 0))
    for click in view.clicks:
        row, column = click.pixel
        cv2.circle(drawn, (column, row), 3, (255, 255, 255), -1)
        cv2.circle(drawn, (column, row), 2, _COLOURS[click.kind], -1)
    return np.concatenate([view.image, drawn], axis=0)


def _outline(image: npt.NDArray[np.uint8], mask: BoolArray, colour: tuple[int, int, int]) -> None:
    lines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, lines, -1, colour, 1)
