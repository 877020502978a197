"""The store of images that nothing can hold labels for: clicks and previews, but no objects."""

from __future__ import annotations

import numpy as np

from napari_edgeflow._types import LabelArray, Window
from napari_edgeflow.annotation.objects import Labels, PlaneIndex
from napari_edgeflow.gui.labels.commit import check_size
from napari_edgeflow.gui.planes import Plane


class NoLabels:
    """Zeros that cannot be written.

    Args:
        shape: (rows, columns).
    """

    is_persistent = True
    next_id = 1

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape

    def read(self, window: Window, plane: PlaneIndex = ()) -> Labels:
        """Zeros."""
        return np.zeros(window.shape, np.uint32)

    def write(self, window: Window, labels: LabelArray, plane: PlaneIndex = ()) -> None:
        """Refuse.

        Raises:
            ValueError: Always; the message says what to do.
        """
        check_size(self.shape, Plane((None, None), self.shape))
