"""Which labels fit in memory, and which go to disk."""

from __future__ import annotations

import math

MAX_PLANE_PX = 4096**2
"""Pixels of a plane whose labels are an ordinary layer."""
MAX_STACK_PX = 2**30
"""Pixels of all planes of such a layer: 4 GB, twice."""


def needs_store(shape: tuple[int, ...]) -> bool:
    """True for images of this shape whose labels go to disk: large planes, or very many.

    Args:
        shape: (stack…, rows, columns).
    """
    return math.prod(shape[-2:]) > MAX_PLANE_PX or math.prod(shape) > MAX_STACK_PX
