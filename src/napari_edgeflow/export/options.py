"""What can be chosen about a format, in a form that the command line and the window both show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

OptionValue = float | str | bool
"""A number, one of several words, or yes and no."""

_YES, _NO = ("yes", "true", "on", "1"), ("no", "false", "off", "0")


@dataclass(frozen=True, slots=True)
class ExportOption:
    """One thing to choose.

    Attributes:
        name: As on the command line.
        title: For a form.
        summary: What it does, for tooltips and help.
        default: Its type is the option's: float (≥ 0), bool, or str (one of ``choices``).
        choices: Words to choose from.
        unit: Of a number; ``"map"`` for the units of the image's CRS.
    """

    name: str
    title: str
    summary: str
    default: OptionValue
    choices: tuple[str, ...] = ()
    unit: str = ""

    def read(self, given: OptionValue) -> OptionValue:
        """The value as it was meant; text from a command line is turned into the option's type.

        Raises:
            ValueError: It is no such value.
        """
        if isinstance(self.default, bool):
            return self._read_flag(given)
        if isinstance(self.default, str):
            if str(given) not in self.choices:
                raise ValueError(
                    f"expected {self.name} to be one of {', '.join(self.choices)}, got {given!r}"
                )
            return str(given)
        try:
            number = float(given)
        except ValueError:
            number = math.nan
        if not 0 <= number < math.inf:
            raise ValueError(f"expected {self.name} to be a number ≥ 0, got {given!r}")
        return number

    def _read_flag(self, given: OptionValue) -> bool:
        word = str(given).lower()
        if word not in (*_YES, *_NO):
            raise ValueError(f"expected {self.name} to be yes or no, got {given!r}")
        return word in _YES


def read_options(
    known: Sequence[ExportOption], given: Mapping[str, OptionValue], title: str
) -> dict[str, OptionValue]:
    """The value of each option of a format, the default where none is given.

    Args:
        known: The format's options.
        given: By name.
        title: Of the format, for the message.

    Raises:
        ValueError: A name is none of the format's, or a value is none of the option's.
    """
    names = [option.name for option in known]
    for name in given:
        if name not in names:
            has = f"has {', '.join(names)}" if names else "has no options"
            raise ValueError(f"{title} {has}, got {name!r}; leave it out")
    return {option.name: option.read(given.get(option.name, option.default)) for option in known}


TOLERANCE_MAP = ExportOption(
    "tolerance",
    "Simplify by",
    "Outlines may leave the pixels' edges by about this much, in the units of the image's CRS; "
    "edges that neighbours share stay shared. 0 keeps every corner",
    0.0,
    unit="map",
)
TOLERANCE_PX = ExportOption(
    "tolerance",
    "Simplify by",
    "Outlines may leave the pixels' edges by about this many pixels; edges that neighbours share "
    "stay shared. 0 keeps every corner",
    0.0,
    unit="px",
)
