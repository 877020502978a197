"""``--bands`` of commands that look at a raster: a preset, or bands by number."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

if TYPE_CHECKING:
    from napari_edgeflow.raster.source import OpenRaster

MOST_BANDS = 3


def choose_bands(raster: OpenRaster, text: str) -> tuple[int, ...] | None:
    """The bands that the text names, in the order red, green, blue; None for an empty text.

    Args:
        raster: Of which.
        text: ``true-colour``, ``false-colour-nir`` or ``first``; or one to three numbers from 0,
            as ``napari-edgeflow info`` shows them: ``7`` or ``7,3,2``.

    Raises:
        RasterError: The file does not say which bands the preset means.
        ValueError: The text means no bands of this raster.
    """
    from napari_edgeflow.raster.bands import Preset, preset_bands
    from napari_edgeflow.raster.inmemory import ArrayRaster

    words = text.strip()
    if not words:
        return None
    if words in get_args(Preset) and isinstance(raster, ArrayRaster):
        return preset_bands(raster, words)  # type: ignore[arg-type]  # mypy sees no get_args
    parts = [part.strip() for part in words.split(",")]
    if not all(part.isdecimal() for part in parts) or len(parts) > MOST_BANDS:
        raise ValueError(
            f"expected --bands as a preset ({', '.join(get_args(Preset))}) or one to three numbers "
            f"separated by commas, got {text!r}; for example --bands 3,2,1"
        )
    bands = tuple(int(part) for part in parts)
    if max(bands) >= raster.n_bands:
        raise ValueError(
            f"expected --bands of 0…{raster.n_bands - 1}, as the image has {raster.n_bands}, got "
            f"{text!r}; 'napari-edgeflow info' lists them"
        )
    return bands
