"""Which bands of a raster are looked at, and how they become RGB: one value for all who look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.stretch import Stretch, estimate_stretch


@dataclass(frozen=True, slots=True)
class BandView:
    """Bands and the stretch that was found for them.

    Attributes:
        bands: One, or three in the order red, green, blue of the screen.
        stretch: For these bands.
        rule: How the stretch came about, to show it: a key of ``RULES``, or ``limits``.
    """

    bands: tuple[int, ...]
    stretch: Stretch
    rule: str = "full"

    def __post_init__(self) -> None:
        if len(self.bands) not in (1, 3):
            raise ValueError(f"expected one band or three, got {self.bands}")
        if len(self.stretch.low) != len(self.bands):
            raise ValueError(f"expected a stretch for {len(self.bands)} bands, got {self.stretch}")

    def to_json(self) -> dict[str, Any]:
        """As JSON values; ``from_json`` gives back exactly the same."""
        stretch = self.stretch.to_json()
        return {"bands": list(self.bands), "stretch": stretch, "rule": self.rule}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> BandView:
        """What ``to_json`` wrote.

        Raises:
            ValueError: It is none.
        """
        try:
            bands = tuple(int(band) for band in values["bands"])
            return cls(bands, Stretch.from_json(values["stretch"]), str(values["rule"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"expected bands and their stretch, got {values!r}") from error


RULES: Mapping[str, tuple[float, float]] = {
    "full": (0.1, 99.9),
    "strong": (2.0, 98.0),
    "extremes": (0.0, 100.0),
}
"""Percentiles of the valid pixels of the whole raster that become black and white."""


def view_of(
    raster: ArrayRaster, bands: tuple[int, ...], rule: str = "full", gamma: float = 1.0
) -> BandView:
    """The view of these bands by one rule for the whole raster; reads an overview.

    Args:
        raster: Of which.
        bands: One or three.
        rule: A key of ``RULES``.
        gamma: Of the stretch.

    Raises:
        ValueError: There is no such rule.
        RasterError: The raster cannot be read.
    """
    if rule not in RULES:
        raise ValueError(f"expected a rule of {', '.join(RULES)}, got {rule!r}")
    stretch = estimate_stretch(raster, bands, percentiles=RULES[rule], gamma=gamma)
    return BandView(bands, stretch, rule)
