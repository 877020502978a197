"""COCO's run lengths of a mask that lies in a box of a larger image, without the image.

Pixels are counted down the columns, starting with background. The packed text keeps five bits a
character from ``'0'`` on, the lowest first; 0x20 says that more follow, and from the fourth count
on a count is kept as the difference to the one two before it.
"""

from __future__ import annotations

import numpy as np

from napari_edgeflow._types import BoolArray, Window


def mask_to_counts(mask: BoolArray, window: Window, shape: tuple[int, int]) -> list[int]:
    """Run lengths of the whole image, background first.

    Args:
        mask: ``(h, w) bool`` of the window.
        window: Where it lies in the image.
        shape: (H, W) of the image.
    """
    columns = np.zeros((window.width, window.height + 2), dtype=np.int8)
    columns[:, 1:-1] = mask.T
    steps = np.diff(columns, axis=1)
    at_column, starts = np.nonzero(steps == 1)
    _, ends = np.nonzero(steps == -1)
    base = (at_column + window.x0).astype(np.int64) * shape[0] + window.y0
    edges = np.stack([base + starts, base + ends], axis=1).ravel()
    # a run that goes on at the top of the next column is one run
    is_joint = np.flatnonzero(edges[1:-1:2] == edges[2::2])
    edges = np.delete(edges, np.concatenate([2 * is_joint + 1, 2 * is_joint + 2]))
    counts: list[int] = np.diff(edges, prepend=0, append=shape[0] * shape[1]).tolist()
    return counts if counts[-1] else counts[:-1]


def pack_counts(counts: list[int]) -> str:
    """The packed text of run lengths."""
    text = []
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        while True:
            bits = value & 0x1F
            value >>= 5
            is_last = value == (-1 if bits & 0x10 else 0)
            text.append(chr(48 + (bits if is_last else bits | 0x20)))
            if is_last:
                break
    return "".join(text)
