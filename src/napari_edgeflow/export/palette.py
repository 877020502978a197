"""PNG files of up to 256 colours: pseudo-colour images and PASCAL VOC's masks."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from napari_edgeflow._types import LabelArray
from napari_edgeflow.annotation.classes import Rgb


def palette_png(indices: LabelArray, colors: Sequence[Rgb]) -> bytes:
    """A PNG of colour indices with their palette.

    Args:
        indices: ``(H, W)`` integers, 0 … 255.
        colors: Of each index; those that are missing are black.
    """
    picture = Image.fromarray(np.ascontiguousarray(indices, dtype=np.uint8))
    picture.putpalette(bytes(value for color in colors for value in color))
    return png_bytes(picture)


def png_bytes(picture: Image.Image) -> bytes:
    """The picture as a PNG file."""
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()


def voc_palette() -> list[Rgb]:
    """PASCAL VOC's 256 colours: bits of the index spread over the channels' high bits."""
    colors = []
    for index in range(256):
        channels = [0, 0, 0]
        rest = index
        for bit in range(7, -1, -1):
            for channel in range(3):
                channels[channel] |= (rest >> channel & 1) << bit
            rest >>= 3
        colors.append((channels[0], channels[1], channels[2]))
    return colors
