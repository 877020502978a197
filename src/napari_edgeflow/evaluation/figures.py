"""Pictures of an evaluation: accuracy against clicks, and the objects that went worst."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_edgeflow._types import AnyArray, BoolArray, Click, Window
from napari_edgeflow.data.base import Sample
from napari_edgeflow.evaluation.noc import carried_forward
from napari_edgeflow.evaluation.records import ObjectRecord
from napari_edgeflow.evaluation.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 6
_TRUTH_COLOUR, _MASK_COLOUR = "#00e5ff", "#ff2fd0"
_POSITIVE_COLOUR, _NEGATIVE_COLOUR = "#2ee62e", "#ff4040"


def draw_curves(report: Report, path: Path) -> None:
    """Write a PNG with one panel per data set: its mean IoU after each click, all others grey."""
    figure, panels = panels_in_rows(len(report.datasets), width=2.4, height=2.1)
    for panel, summary in zip(panels, report.datasets, strict=False):
        clicks = range(1, len(summary.miou_at) + 1)
        for other in report.datasets:
            panel.plot(clicks, other.miou_at, color="0.85", linewidth=0.7)
        panel.plot(clicks, summary.miou_at, color="tab:blue", linewidth=2)
        panel.axhline(0.9, color="0.5", linewidth=0.5, linestyle="--")
        panel.set_title(f"{summary.dataset}\nNoC@90 {summary.noc90:.1f}", fontsize=7)
        panel.set(ylim=(0, 1), xlim=(1, max(2, len(summary.miou_at))))
        panel.tick_params(labelsize=6)
    figure.supxlabel("clicks", fontsize=8)
    figure.supylabel("mean IoU", fontsize=8)
    figure.suptitle(report.model, fontsize=9)
    figure.savefig(path, dpi=150)


def worst_records(
    records: Mapping[str, Sequence[ObjectRecord]], count: int, max_clicks: int
) -> list[ObjectRecord]:
    """The objects with the lowest IoU over all clicks, at most three of a data set, worst first."""

    def quality(record: ObjectRecord) -> float:
        return statistics.fmean(carried_forward(record.ious, max_clicks))

    of_each = (sorted(rows, key=quality)[:3] for rows in records.values())
    return sorted((record for rows in of_each for record in rows), key=quality)[:count]


def draw_worst(
    shown: Sequence[tuple[ObjectRecord, Sample, BoolArray]], path: Path, *, title: str
) -> None:
    """Write a PNG of objects with their true outline, the last mask's outline and the clicks.

    Args:
        shown: Each with its record, its sample and its ``(H, W) bool`` mask.
        path: File to write.
        title: Above the sheet.
    """
    figure, panels = panels_in_rows(len(shown), width=2.6, height=3.0, columns=4)
    for panel, (record, sample, mask) in zip(panels, shown, strict=False):
        truth = sample.mask(record.object_id)
        window = window_to_show(truth, record.clicks)
        panel.imshow(_to_display(sample.image[window.slices]), cmap="gray")
        _outline(panel, truth[window.slices], _TRUTH_COLOUR)
        _outline(panel, mask[window.slices], _MASK_COLOUR)
        _draw_clicks(panel, record.clicks, window)
        panel.set_title(
            f"{record.dataset}\n{record.sample[:28]} #{record.object_id}\nIoU {record.ious[0]:.2f}"
            f" → {record.ious[-1]:.2f} in {len(record.ious)} clicks",
            fontsize=7,
        )
        panel.set(xlim=(-0.5, window.width - 0.5), ylim=(window.height - 0.5, -0.5))
        panel.set(xticks=[], yticks=[])
    figure.suptitle(
        f"{title}: worst objects. Outlines: truth cyan, mask after the last click magenta. "
        "Clicks: + on the object, × beside it.",
        fontsize=8,
    )
    figure.savefig(path, dpi=150)


def window_to_show(truth: BoolArray, clicks: Sequence[Click]) -> Window:
    """The box of the object and of all clicks, with a margin of a quarter."""
    rows, columns = np.nonzero(truth)
    ys = [*rows.tolist(), *(click.pixel[0] for click in clicks)]
    xs = [*columns.tolist(), *(click.pixel[1] for click in clicks)]
    margin = 4 + math.ceil(max(max(ys) - min(ys), max(xs) - min(xs)) / 4)
    box = Window(min(ys) - margin, min(xs) - margin, max(ys) + margin + 1, max(xs) + margin + 1)
    return box.intersect(Window(0, 0, *truth.shape)) or Window(0, 0, *truth.shape)


def panels_in_rows(
    count: int, *, width: float, height: float, columns: int = _COLUMNS
) -> tuple[Figure, list[Axes]]:
    """A figure, and ``count`` axes of ``width`` × ``height`` inches in rows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = max(1, min(columns, count))
    down = max(1, math.ceil(count / across))
    size = (max(4.5, across * width), down * height + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(down, across, squeeze=False).flat)
    for spare in axes[count:]:
        spare.set_axis_off()
    return figure, axes[:count]


def _outline(panel: Axes, mask: BoolArray, colour: str) -> None:
    """Draw the borders of ``mask``."""
    from skimage import measure

    borders = measure.find_contours(  # type: ignore[no-untyped-call]
        np.pad(mask, 1).astype(np.float32), 0.5
    )
    for border in borders:
        panel.plot(border[:, 1] - 1, border[:, 0] - 1, color=colour, linewidth=0.9)


def _draw_clicks(panel: Axes, clicks: Sequence[Click], window: Window) -> None:
    """Draw the clicks where they were made."""
    for sign, marker, colour in ((True, "+", _POSITIVE_COLOUR), (False, "x", _NEGATIVE_COLOUR)):
        points = [click.pixel for click in clicks if click.is_positive is sign]
        ys, xs = [y - window.y0 for y, _ in points], [x - window.x0 for _, x in points]
        panel.scatter(xs, ys, marker=marker, c=colour, s=22, linewidths=1.1, zorder=3)


def _to_display(pixels: AnyArray) -> AnyArray:
    """Pixels that matplotlib can show: 8-bit as is, others stretched to [0, 1]."""
    if pixels.dtype == np.uint8:
        return pixels
    values = np.nan_to_num(pixels.astype(np.float32), posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low if high > low else 1)
