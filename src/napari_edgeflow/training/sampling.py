"""Views of single objects as the zoom will show them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from napari_edgeflow._types import BoolArray
from napari_edgeflow.training.augment import random_colours
from napari_edgeflow.training.first_clicks import start_clicks
from napari_edgeflow.training.geometry import random_geometry, warp_image, warp_mask
from napari_edgeflow.training.next_clicks import with_next_click
from napari_edgeflow.training.pack import IGNORE, Pack
from napari_edgeflow.training.view import View

__all__ = ["View", "ViewSampler", "group_weights", "with_next_click"]

SMALLEST_OBJECT_PX = 12


class ViewSampler:
    """Draws views from a pack: data set by weight, then image, then object.

    Args:
        pack: The images.
        weights: Weight of each data set; those not named are drawn by the square root of
            their number of images.
        start_masks: Share of views that start from a mask made elsewhere.
        merge: Chance that another object of the image belongs to the object too.
        prior: What the network gets back: ``edge``, ``mask`` or ``none``.
    """

    def __init__(
        self,
        pack: Pack,
        weights: Mapping[str, float] | None = None,
        *,
        start_masks: float = 0.15,
        merge: float = 0.0,
        prior: str = "edge",
    ) -> None:
        self.pack = pack
        self._start_masks, self._merge, self._prior = start_masks, merge, prior
        by_image: dict[int, list[int]] = {}
        for number, item in enumerate(pack.objects):
            by_image.setdefault(item.image, []).append(number)
        self._objects_of = by_image
        by_set: dict[str, list[int]] = {}
        for image in by_image:
            by_set.setdefault(pack.images[image].dataset, []).append(image)
        self._images_of = by_set
        self.names = sorted(by_set)
        given = weights or {}
        raw = np.array([given.get(n, math.sqrt(len(by_set[n]))) for n in self.names])
        self.chances = raw / raw.sum()

    def draw(
        self,
        side: int,
        rng: np.random.Generator,
        *,
        clicks: str = "recycle",
        zoom: tuple[float, float] = (1.15, 6.0),
    ) -> View:
        """A view of ``side`` × ``side`` pixels with its first clicks.

        Args:
            side: In pixels.
            rng: Source of randomness; decides everything.
            clicks: One of ``settings.CLICK_RULES``.
            zoom: Smallest and largest side of the view in sides of the object's box.
        """
        while True:
            name = self.names[int(rng.choice(len(self.names), p=self.chances))]
            image = int(rng.choice(self._images_of[name]))
            number = int(rng.choice(self._objects_of[image]))
            view = self._cut(number, side, rng, zoom)
            if view is None:
                continue
            view.image = random_colours(view.image, rng, is_photograph=name.startswith("nat_"))
            start_clicks(view, rng, rule=clicks, start_masks=self._start_masks, prior=self._prior)
            if view.clicks:
                return view

    def _cut(
        self, number: int, side: int, rng: np.random.Generator, zoom: tuple[float, float]
    ) -> View | None:
        """The view without clicks; None where too little of the object is in it."""
        item = self.pack.objects[number]
        image, labels = self.pack.image(item.image), self.pack.labels(item.image)
        box, matrix = random_geometry(item.box, labels.shape, side, rng, zoom)
        region = np.s_[box[0] : box[2], box[1] : box[3]]
        part = labels[region]
        is_object = self._objects(part == item.label, part, rng)
        truth = warp_mask(is_object, matrix, side)
        if int(truth.sum()) < SMALLEST_OBJECT_PX:
            return None
        ignore = warp_mask(part == IGNORE, matrix, side, outside=True)
        others = warp_mask((part > 0) & (part != IGNORE) & ~is_object, matrix, side)
        pixels = warp_image(image[region], matrix, side, rng)
        prior = np.zeros((side, side), np.float32)
        return View(pixels, truth, ignore & ~truth, [], prior, others & ~truth)

    def _objects(
        self, is_object: BoolArray, part: npt.NDArray[np.uint16], rng: np.random.Generator
    ) -> BoolArray:
        """The object, now and then with another one of the same region (RITM: at most two)."""
        if self._merge == 0 or rng.random() >= self._merge:
            return is_object
        others = np.unique(part[(part > 0) & (part != IGNORE) & ~is_object])
        if len(others) == 0:
            return is_object
        merged: BoolArray = is_object | (part == int(rng.choice(others)))
        return merged


def group_weights(
    names: Sequence[str], shares: Mapping[str, float], sizes: Mapping[str, int]
) -> dict[str, float]:
    """Weights by data set so that each prefix (``micro_``, ``nat_`` …) gets its share.

    Within a prefix the sets are weighted by the square root of their number of images.

    Raises:
        ValueError: A prefix names no data set, or a data set has no prefix or several.
    """
    if not shares:
        return {}
    unused = [prefix for prefix in shares if not any(name.startswith(prefix) for name in names)]
    odd = [name for name in names if sum(name.startswith(prefix) for prefix in shares) != 1]
    if unused or odd:
        raise ValueError(
            "shares must give every data set exactly one prefix; "
            f"prefixes without a data set: {', '.join(unused) or 'none'}; "
            f"data sets without a prefix or with several: {', '.join(odd) or 'none'}"
        )
    weights: dict[str, float] = {}
    for prefix, share in shares.items():
        members = [name for name in names if name.startswith(prefix)]
        total = sum(math.sqrt(sizes[name]) for name in members)
        weights |= {name: share * math.sqrt(sizes[name]) / total for name in members}
    return weights
