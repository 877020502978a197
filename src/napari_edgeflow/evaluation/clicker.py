"""The simulated user: clicks on one object until it is good or patience ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from napari_edgeflow._types import BoolArray, Click
from napari_edgeflow.clicks.simulate import next_click
from napari_edgeflow.data.base import Sample
from napari_edgeflow.evaluation.noc import iou
from napari_edgeflow.evaluation.segmenters import Segmenter
from napari_edgeflow.evaluation.stability import neighbourhood, stability

STOP_IOU = 0.95
"""The user stops at this IoU, unless told otherwise: the highest that any NoC asks for."""


@dataclass(frozen=True, slots=True, eq=False)
class ClickedObject:
    """What happened on one object.

    Attributes:
        clicks: In order.
        ious: IoU after each click.
        seconds: Duration of each click.
        stabilities: For each click but the first, the IoU of the masks before and after it
            outside of its neighbourhood (:mod:`napari_edgeflow.evaluation.stability`); NaN when
            both are empty there.
        mask: ``(H, W) bool`` after the last click.
    """

    clicks: tuple[Click, ...]
    ious: tuple[float, ...]
    seconds: tuple[float, ...]
    stabilities: tuple[float, ...]
    mask: BoolArray


def click_on_object(
    segmenter: Segmenter,
    sample: Sample,
    object_id: int,
    *,
    field_of_view: float,
    max_clicks: int = 20,
    stop_iou: float = STOP_IOU,
    clock: Callable[[], float] = time.perf_counter,
) -> ClickedObject:
    """Clicks, accuracy and times of a user who wants object ``object_id`` of ``sample``.

    The first click answers to an empty mask. Each further one goes to the centre of the
    largest error (:func:`napari_edgeflow.clicks.simulate.next_click`), never to a pixel that
    was clicked before, until the IoU is ``stop_iou`` or ``max_clicks`` are made.

    Raises:
        ValueError: The object has no pixel, or a mask is not of the image's shape.
    """
    truth = sample.mask(object_id)
    mask = np.zeros(truth.shape, dtype=bool)
    clicks: list[Click] = []
    ious: list[float] = []
    seconds: list[float] = []
    stabilities: list[float] = []
    segmenter.begin(sample.image, field_of_view)
    while len(clicks) < max_clicks and (not ious or ious[-1] < stop_iou):
        click = next_click(truth, mask, ignore=sample.ignore, clicked=clicks)
        if click is None:
            break
        before, start = mask, clock()
        mask = segmenter.click(click)
        seconds.append(clock() - start)
        if mask.shape != truth.shape:
            raise ValueError(f"expected a mask of {truth.shape}, got {mask.shape}")
        if clicks:
            near = neighbourhood(truth, before, click) | sample.ignore
            stabilities.append(stability(before, mask, near))
        clicks.append(click)
        ious.append(iou(mask, truth, sample.ignore))
    if not clicks:
        raise ValueError(f"{sample.name}: there is no object {object_id} to click on")
    return ClickedObject(tuple(clicks), tuple(ious), tuple(seconds), tuple(stabilities), mask)
