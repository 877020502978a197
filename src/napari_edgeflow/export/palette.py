"""PNG files of up to 256 colours: pseudo-colour, PASCAL VOC's masks, masks of one bit."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from napari_edgeflow._types import BoolArray, LabelArray
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


def bit_png(strips: Iterable[BoolArray], shape: tuple[int, int]) -> bytes:
    """A mask as a PNG of one bit a pixel, packed strip by strip: 0 or 1, shown black or white.

    Written by the PNG specification (ISO/IEC 15948): greyscale, no filter, not interlaced.

    Args:
        strips: ``(h, w) bool`` runs of rows from the top, together the mask.
        shape: (rows, columns) of the mask.
    """
    packer = zlib.compressobj()
    packed = bytearray()
    for strip in strips:
        lines = np.pad(np.packbits(strip, axis=1), ((0, 0), (1, 0)))  # 0: not filtered
        packed += packer.compress(lines.tobytes())
    packed += packer.flush()
    head = struct.pack(">IIBBBBB", shape[1], shape[0], 1, 0, 0, 0, 0)
    chunks = _chunk(b"IHDR", head) + _chunk(b"IDAT", bytes(packed)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _chunk(kind: bytes, content: bytes) -> bytes:
    end = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + end


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
