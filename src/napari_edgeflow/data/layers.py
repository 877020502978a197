"""Objects that overlap, in as few label images as hold each of them whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from napari_edgeflow._types import BoolArray
from napari_edgeflow.data.base import Sample

_Labels = npt.NDArray[np.int32]


def stack_masks(masks: Mapping[int, BoolArray], shape: tuple[int, int]) -> tuple[_Labels, ...]:
    """At least one ``(H, W) int32`` label image; every mask is whole in one of them.

    The largest mask goes first, each to the first image where it overlaps nothing; masks without
    a pixel are left out.

    Args:
        masks: ``(H, W) bool`` masks by their ids.
        shape: (H, W).
    """
    layers = [np.zeros(shape, dtype=np.int32)]
    areas = {i: int(np.count_nonzero(mask)) for i, mask in masks.items()}
    for i in sorted((i for i in masks if areas[i]), key=lambda i: (-areas[i], i)):
        free = next((layer for layer in layers if not layer[masks[i]].any()), None)
        if free is None:
            free = np.zeros(shape, dtype=np.int32)
            layers.append(free)
        free[masks[i]] = i
    return tuple(layers)


def one_layer_each(samples: Iterable[Sample]) -> Iterator[Sample]:
    """The samples, those with overlapping objects as several of the same image, one a layer.

    For whoever can hold only one label image for an image; ``NAME`` is followed by ``NAME+1``…
    """
    for sample in samples:
        yield replace(sample, above=())
        for number, labels in enumerate(sample.above, start=1):
            yield replace(sample, name=f"{sample.name}+{number}", labels=labels, above=())
