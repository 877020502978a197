"""PNG, JPEG and other pictures: small enough to be read whole."""

from __future__ import annotations

import warnings
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image

from napari_edgeflow._types import AnyArray
from napari_edgeflow.errors import RasterError

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_KEPT_MODES = frozenset({"1", "L", "RGB", "RGBA", "I", "F", "I;16", "I;16B", "I;16L"})
_CONVERTED_MODES = {"LA": "L", "La": "L", "PA": "RGBA", "RGBa": "RGBA", "P": "RGB", "RGBX": "RGB"}


def read_picture(path: Path) -> AnyArray:
    """``(H, W)`` or ``(H, W, 3 or 4)`` pixels of the whole file, in its own depth.

    Palettes and CMYK become RGB; the transparency of a grey picture is left out.

    Raises:
        RasterError: The file is damaged, or of a kind that is not known.
    """
    try:
        if _is_deep_colour_png(path):
            deep: AnyArray = imagecodecs.png_decode(path.read_bytes())
            return deep
        return _read_with_pillow(path)
    except Image.DecompressionBombError as error:
        raise RasterError(
            f"{path.name}: {error}; convert it to a tiled TIFF, which is read piece by piece, "
            "for example with gdal_translate -co TILED=YES"
        ) from error
    except Exception as error:  # each decoder raises its own kinds
        raise RasterError(
            f"{path.name}: expected a TIFF, PNG or JPEG image, but it cannot be read ({error}); "
            "check that it opens elsewhere, and save it as TIFF or PNG"
        ) from error


def _read_with_pillow(path: Path) -> AnyArray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path) as picture:
            if picture.mode in _KEPT_MODES:
                return np.asarray(picture)
            return np.asarray(picture.convert(_CONVERTED_MODES.get(picture.mode, "RGB")))


def _is_deep_colour_png(path: Path) -> bool:
    """True for 16-bit colour, which Pillow would cut to 8 bits."""
    with path.open("rb") as file:
        head = file.read(26)
    return head.startswith(_PNG_MAGIC) and len(head) == 26 and head[24] == 16 and head[25] in (2, 6)
