"""Views of single objects as the zoom will show them, and the clicks a user starts with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from napari_edgeflow._types import BoolArray, Click, FloatArray
from napari_edgeflow.clicks.encode import mask_edge
from napari_edgeflow.clicks.simulate import next_click
from napari_edgeflow.training.augment import random_colours
from napari_edgeflow.training.pack import IGNORE, Pack

LARGEST_VIEW = 6.0
SMALLEST_VIEW = 1.15


@dataclass(slots=True, eq=False)
class View:
    """A training example that keeps its clicks from step to step.

    Attributes:
        image: ``(S, S, 3) uint8``.
        truth: ``(S, S) bool``: the object.
        ignore: ``(S, S) bool``: pixels that count for nothing.
        clicks: So far, in the view's pixels.
        prior: ``(S, S) float32 in [0, 1]``: the step before's edge, zeros at the start.
    """

    image: npt.NDArray[np.uint8]
    truth: BoolArray
    ignore: BoolArray
    clicks: list[Click]
    prior: FloatArray


class ViewSampler:
    """Draws views from a pack: data set by weight, then image, then object.

    Args:
        pack: The images.
        weights: Weight of each data set; those not named are drawn by the square root of
            their number of images.
    """

    def __init__(self, pack: Pack, weights: Mapping[str, float] | None = None) -> None:
        self.pack = pack
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

    def draw(self, side: int, rng: np.random.Generator) -> View:
        """A view of ``side`` × ``side`` pixels with its first clicks."""
        while True:
            name = self.names[int(rng.choice(len(self.names), p=self.chances))]
            image = int(rng.choice(self._images_of[name]))
            number = int(rng.choice(self._objects_of[image]))
            view = self._cut(number, side, rng, is_photograph=name.startswith("nat_"))
            if view is not None:
                return view

    def _cut(
        self, number: int, side: int, rng: np.random.Generator, *, is_photograph: bool
    ) -> View | None:
        item = self.pack.objects[number]
        image, labels = self.pack.image(item.image), self.pack.labels(item.image)
        box, matrix = _random_geometry(item.box, labels.shape, side, rng)
        region = np.s_[box[0] : box[2], box[1] : box[3]]
        part = labels[region]
        truth = _warp_mask(part == item.label, matrix, side)
        if int(truth.sum()) < 12:
            return None
        ignore = _warp_mask(part == IGNORE, matrix, side, outside=True)
        pixels = _warp_image(image[region], matrix, side, rng)
        pixels = random_colours(pixels, rng, is_photograph=is_photograph)
        view = View(pixels, truth, ignore & ~truth, [], np.zeros((side, side), np.float32))
        _first_clicks(view, rng)
        return view


def _random_geometry(
    box: tuple[int, int, int, int], shape: tuple[int, ...], side: int, rng: np.random.Generator
) -> tuple[tuple[int, int, int, int], npt.NDArray[np.float64]]:
    """(region of the image to read, 2×3 matrix from region (x, y) to view (x, y))."""
    y0, x0, y1, x1 = box
    longer = max(y1 - y0, x1 - x0)
    factor = math.exp(rng.uniform(math.log(SMALLEST_VIEW), math.log(LARGEST_VIEW)))
    extent = max(min(longer * factor, max(1.15 * longer, min(shape[0], shape[1]))), 24.0)
    slack = max(extent - longer, 0.15 * longer) / 2
    centre_y = (y0 + y1 - 1) / 2 + rng.uniform(-slack, slack)
    centre_x = (x0 + x1 - 1) / 2 + rng.uniform(-slack, slack)
    angle = rng.uniform(0, 360)
    if extent * _diagonal(angle) > min(shape[0], shape[1]) or rng.random() < 0.4:
        angle = float(rng.choice([0, 90, 180, 270]))
    reach = extent / 2 * _diagonal(angle)
    if 2 * reach <= min(shape[0], shape[1]):
        centre_y, centre_x = _inside(centre_y, reach, shape[0]), _inside(centre_x, reach, shape[1])
    scale = side / extent
    cos, sin = math.cos(math.radians(angle)) * scale, math.sin(math.radians(angle)) * scale
    stretch = math.exp(rng.uniform(-0.15, 0.15))
    flip = -1.0 if rng.random() < 0.5 else 1.0
    linear = np.array(
        [[cos * flip * stretch, -sin * stretch], [sin * flip / stretch, cos / stretch]]
    )
    margin = int(reach * 1.3) + 4
    region = (
        max(int(centre_y) - margin, 0),
        max(int(centre_x) - margin, 0),
        min(int(centre_y) + margin, shape[0]),
        min(int(centre_x) + margin, shape[1]),
    )
    centre = np.array([centre_x - region[1], centre_y - region[0]])
    offset = np.array([(side - 1) / 2, (side - 1) / 2]) - linear @ centre
    return region, np.column_stack([linear, offset])


def _diagonal(angle: float) -> float:
    """Side of the upright box around a unit square turned by ``angle`` degrees."""
    return abs(math.cos(math.radians(angle))) + abs(math.sin(math.radians(angle)))


def _inside(centre: float, reach: float, size: int) -> float:
    """``centre`` moved so that ``reach`` on both sides stays within ``[0, size)``."""
    return min(max(centre, reach - 0.5), size - 0.5 - reach)


def _warp_image(
    region: npt.NDArray[np.uint8],
    matrix: npt.NDArray[np.float64],
    side: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.uint8]:
    """``(side, side, 3) uint8``; shrinks by area first where the view is coarser."""
    scale = math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))
    matrix = matrix.copy()
    if scale < 0.7:
        height, width = region.shape[:2]
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        region = np.asarray(cv2.resize(region, size, interpolation=cv2.INTER_AREA), np.uint8)
        shrink = np.array([size[0] / width, size[1] / height])
        matrix[:, 2] += matrix[:, :2] @ (0.5 / shrink - 0.5)
        matrix[:, :2] = matrix[:, :2] / shrink
    flags = cv2.INTER_CUBIC if rng.random() < 0.7 else cv2.INTER_LINEAR
    out = cv2.warpAffine(region, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, dtype=np.uint8)


def _warp_mask(
    mask: BoolArray, matrix: npt.NDArray[np.float64], side: int, *, outside: bool = False
) -> BoolArray:
    """``(side, side) bool``: the mask resampled smoothly and cut at one half."""
    values = mask.astype(np.float32)
    scale = math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))
    if scale < 0.7:
        values = np.asarray(cv2.blur(values, (max(round(1 / scale), 1),) * 2), np.float32)
    out = cv2.warpAffine(
        values, matrix, (side, side), flags=cv2.INTER_LINEAR, borderValue=(float(outside),)
    )
    return np.asarray(out) > 0.5


def _first_clicks(view: View, rng: np.random.Generator) -> None:
    """Puts the clicks that the view starts with, in place.

    Mostly the one positive click that a user begins with; sometimes a handful of random
    points (RITM's sampler: each further point with probability 0.8); sometimes a mask
    that came from elsewhere, with the click that corrects it.
    """
    nothing = np.zeros_like(view.truth)
    first = next_click(view.truth, nothing, ignore=view.ignore, rng=rng)
    kind = rng.random()
    if kind < 0.1:
        damaged = _damage(view.truth, rng)
        correction = next_click(view.truth, damaged, ignore=view.ignore, rng=rng)
        if correction is not None:
            view.prior = mask_edge(damaged)
            view.clicks.append(correction)
            return
    if first is not None:
        view.clicks.append(first)
    if kind > 0.8:
        view.clicks += _random_points(view, rng)


def _random_points(view: View, rng: np.random.Generator) -> list[Click]:
    """Up to eight points on the object and eight beside it, half of these near its border."""
    inside = cv2.erode(view.truth.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    near_width = max(int(0.15 * math.sqrt(float(view.truth.sum()))), 3)
    kernel = np.ones((2 * near_width + 1,) * 2, np.uint8)
    outside = ~view.truth & ~view.ignore
    near = outside & (cv2.dilate(view.truth.astype(np.uint8), kernel) > 0)
    near &= cv2.dilate(view.truth.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0
    points = _pick(inside, _count(rng), True, rng)
    for _ in range(_count(rng)):
        region = near if rng.random() < 0.6 else outside
        points += _pick(region, 1, False, rng)
    return points


def _count(rng: np.random.Generator) -> int:
    """0…8, each further one with probability 0.7."""
    return min(int(rng.geometric(0.3)) - 1, 8)


def _pick(
    region: BoolArray, count: int, is_positive: bool, rng: np.random.Generator
) -> list[Click]:
    flat = np.flatnonzero(region)
    if len(flat) == 0 or count == 0:
        return []
    width = region.shape[1]
    chosen = rng.choice(flat, size=min(count, len(flat)), replace=False)
    return [Click(float(i // width), float(i % width), is_positive) for i in chosen]


def _damage(truth: BoolArray, rng: np.random.Generator) -> BoolArray:
    """The object's mask as a careless annotator might leave it."""
    side = truth.shape[0]
    noise = cv2.resize(rng.standard_normal((6, 6)).astype(np.float32), (side, side))
    inner = cv2.distanceTransform(truth.astype(np.uint8), cv2.DIST_L2, 5)
    signed = inner - cv2.distanceTransform((~truth).astype(np.uint8), cv2.DIST_L2, 5)
    amount = 0.25 * math.sqrt(float(truth.sum()))
    damaged: BoolArray = signed + noise * np.float32(amount) > rng.uniform(-0.3, 0.3) * amount
    return damaged


def with_next_click(
    view: View, predicted: BoolArray, prior: FloatArray, rng: np.random.Generator, limit: int
) -> View | None:
    """The view with the click that corrects ``predicted``, or None when it is done."""
    if len(view.clicks) >= limit:
        return None
    click = next_click(view.truth, predicted, ignore=view.ignore, rng=rng)
    if click is None:
        return None
    return View(view.image, view.truth, view.ignore, [*view.clicks, click], prior)


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
