"""Where a careful user would click next: one rule, shared by training and evaluation.

RITM's rule (Sofiiuk et al. 2021, "Reviving iterative training with mask guidance"): look at
the missed and at the wrongly covered pixels, and click the one that lies deepest in its region.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from napari_edgeflow._types import BoolArray, Click


@dataclass(frozen=True, slots=True, eq=False)
class _Depth:
    """Squared distance of every error pixel to the nearest pixel that is right.

    Attributes:
        squared: ``(h, w) int64`` of the errors' box, 0 where there is no error.
        origin: (row, column) of the box in the image.
        deepest: Largest value, 0 when there is no error.
    """

    squared: npt.NDArray[np.int64]
    origin: tuple[int, int]
    deepest: int

    def first_deepest(self) -> tuple[int, int]:
        """(row, column) of the deepest pixel, the first in row-major order."""
        row, column = np.unravel_index(int(np.argmax(self.squared)), self.squared.shape)
        return self.origin[0] + int(row), self.origin[1] + int(column)

    def any_inner(self, rng: np.random.Generator) -> tuple[int, int]:
        """(row, column) drawn from the pixels deeper than half the deepest one."""
        rows, columns = np.nonzero(4 * self.squared > self.deepest)
        chosen = int(rng.integers(len(rows)))
        return self.origin[0] + int(rows[chosen]), self.origin[1] + int(columns[chosen])


_NO_ERROR = _Depth(np.zeros((1, 1), dtype=np.int64), (0, 0), 0)


def next_click(
    truth: BoolArray,
    predicted: BoolArray,
    *,
    ignore: BoolArray | None = None,
    rng: np.random.Generator | None = None,
    clicked: Sequence[Click] = (),
) -> Click | None:
    """The click that a user would make next, or None when nothing is left to correct.

    The missed pixels (false negatives) and the wrongly covered ones (false positives) are
    each measured by their Euclidean distance to the nearest pixel outside of them; the
    image's border counts as outside. The click is positive if and only if the deepest missed
    pixel lies deeper than the deepest wrongly covered one.

    Args:
        truth: ``(H, W) bool``: the object.
        predicted: ``(H, W) bool``: the mask so far.
        ignore: ``(H, W) bool``: pixels that count as no error, whatever the mask says.
        rng: None takes the deepest pixel, the first in row-major order (evaluation). With a
            generator the pixel is drawn uniformly from those deeper than half the deepest
            (training).
        clicked: Clicks made already; their pixels are not chosen again.

    Raises:
        ValueError: The arrays are not 2-D or their shapes differ.
    """
    _check_shapes(truth, predicted, ignore)
    missed, wrong = truth & ~predicted, predicted & ~truth
    if ignore is not None:
        missed, wrong = missed & ~ignore, wrong & ~ignore
    missed_depth, wrong_depth = _depth(missed, clicked), _depth(wrong, clicked)
    is_positive = missed_depth.deepest > wrong_depth.deepest
    depth = missed_depth if is_positive else wrong_depth
    if depth.deepest == 0:
        return None
    row, column = depth.first_deepest() if rng is None else depth.any_inner(rng)
    return Click(float(row), float(column), is_positive)


def _depth(error: BoolArray, clicked: Sequence[Click]) -> _Depth:
    """Depth of every error pixel; the pixels of ``clicked`` count as 0."""
    rows, columns = np.flatnonzero(error.any(axis=1)), np.flatnonzero(error.any(axis=0))
    if len(rows) == 0:
        return _NO_ERROR
    y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    # Outside the box nothing is an error, so one ring of zeros stands for all of it.
    padded = np.pad(error[y0:y1, x0:x1].astype(np.uint8), 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    # Squares of pixel distances are whole: rounding makes ties exact on every machine.
    squared = np.rint(np.square(distance, dtype=np.float64)).astype(np.int64)
    for row, column in (click.pixel for click in clicked):
        if y0 <= row < y1 and x0 <= column < x1:
            squared[row - y0, column - x0] = 0
    return _Depth(squared, (y0, x0), int(squared.max()))


def _check_shapes(truth: BoolArray, predicted: BoolArray, ignore: BoolArray | None) -> None:
    """Raise ValueError unless all arrays are 2-D and of one shape."""
    shapes = [array.shape for array in (truth, predicted, ignore) if array is not None]
    if truth.ndim != 2 or len(set(shapes)) != 1:
        raise ValueError(
            "truth, predicted and ignore must be 2-D and of the same shape, got "
            f"{', '.join(str(shape) for shape in shapes)}"
        )
