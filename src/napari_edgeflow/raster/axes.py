"""Which axis of an array is which: rows, columns, bands, and the axes of a stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import SupportsIndex

from napari_edgeflow.errors import RasterError

MAX_TRAILING_BANDS = 4
_BAND_LETTERS = "SC"
_STACK_LETTERS = "TZVUP"


class PlaneNeededError(RasterError):
    """It is a stack, and nobody said which plane.

    Attributes:
        n_axes: Numbers that choose a plane.
    """

    def __init__(self, text: str, n_axes: int) -> None:
        super().__init__(text)
        self.n_axes = n_axes


@dataclass(frozen=True, slots=True)
class Layout:
    """How a 2-D image with bands lies in an array.

    Attributes:
        y: Axis of the rows.
        x: Axis of the columns.
        band: Axis of the bands, or None for a single band.
        fixed: (axis, index) of every other axis.
    """

    y: int
    x: int
    band: int | None
    fixed: tuple[tuple[int, int], ...] = ()


def resolve_layout(
    shape: Sequence[int], axes: str | None = None, index: Sequence[int] | None = None
) -> Layout:
    """Layout of the plane that ``axes`` and ``index`` choose.

    Args:
        shape: Of the array.
        axes: One letter for each axis: Y, X, C or S for the bands, any other for a stack.
            None: rows and columns are last, or stand before at most four bands.
        index: The plane: one number for each stack axis (those of length 1 may be left out).

    Raises:
        PlaneNeededError: There is a stack and no index.
        RasterError: The choice does not fit.
        TypeError: ``axes`` is no text, or ``index`` no tuple of whole numbers.
    """
    _check_types(axes, index)
    letters = _guess_axes(shape, index) if axes is None else axes.upper()
    _check_letters(shape, letters)
    band = _band_axis(shape, letters)
    y, x = letters.index("Y"), letters.index("X")
    stack = [axis for axis in range(len(shape)) if axis not in (y, x, band)]
    return Layout(y, x, band, _fix(shape, letters, stack, index))


def _check_types(axes: object, index: object) -> None:
    if not (axes is None or isinstance(axes, str)):
        raise TypeError(f"expected axes as text, got {axes!r}; for example axes='CYX'")
    positions = index if isinstance(index, Sequence) and not isinstance(index, str) else (index,)
    is_tuple = positions is index and all(isinstance(item, SupportsIndex) for item in positions)
    if index is not None and not is_tuple:
        raise TypeError(
            "expected index as a tuple with one whole number for each stack axis, "
            f"got {index!r}; for example index=(2,)"
        )


def _guess_axes(shape: Sequence[int], index: Sequence[int] | None) -> str:
    if len(shape) < 2:
        raise RasterError(
            f"expected an image of rows and columns, got an array of shape {tuple(shape)}; "
            "give a 2-D array, or (rows, columns, bands)"
        )
    has_bands = len(shape) > 2 and shape[-1] <= MAX_TRAILING_BANDS
    if index is not None and len(index) in (len(shape) - 2, len(shape) - 3):
        has_bands = len(index) == len(shape) - 3
    n_stack = len(shape) - (3 if has_bands else 2)
    if n_stack > len(_STACK_LETTERS):
        raise RasterError(
            f"expected at most {len(_STACK_LETTERS)} stack axes, got an array of shape "
            f"{tuple(shape)}; cut the plane out first"
        )
    stack = "Z" if n_stack == 1 else _STACK_LETTERS[:n_stack]
    return stack + ("YXS" if has_bands else "YX")


def _check_letters(shape: Sequence[int], letters: str) -> None:
    if len(letters) != len(shape):
        raise RasterError(
            f"expected one axis letter for each of the {len(shape)} axes of {tuple(shape)}, "
            f"got axes={letters!r}"
        )
    if letters.count("Y") != 1 or letters.count("X") != 1:
        raise RasterError(
            f"expected exactly one Y and one X among the axes, got axes={letters!r} "
            f"for shape {tuple(shape)}; for example axes='YX', 'CYX' or 'ZYX'"
        )


def _band_axis(shape: Sequence[int], letters: str) -> int | None:
    """The axis of the bands: samples before channels, unless there is only one sample."""
    present = [letters.index(letter) for letter in _BAND_LETTERS if letter in letters]
    return next((axis for axis in present if shape[axis] > 1), present[0] if present else None)


def _fix(
    shape: Sequence[int], letters: str, stack: list[int], index: Sequence[int] | None
) -> tuple[tuple[int, int], ...]:
    long = [axis for axis in stack if shape[axis] > 1]
    given = tuple(index or ())
    if len(given) == len(stack):
        chosen = dict(zip(stack, given, strict=True))
    elif len(given) == len(long):
        chosen = dict.fromkeys(stack, 0) | dict(zip(long, given, strict=True))
    else:
        text = _which_plane(shape, letters, long, given)
        raise RasterError(text) if given else PlaneNeededError(text, len(long))
    for axis, position in chosen.items():
        if not 0 <= position < shape[axis]:
            raise RasterError(
                f"expected an index of 0…{shape[axis] - 1} along axis {letters[axis]} "
                f"(axis {axis} of {tuple(shape)}), got {position}"
            )
    return tuple(chosen.items())


def _which_plane(
    shape: Sequence[int], letters: str, long: list[int], given: tuple[int, ...]
) -> str:
    sizes = ", ".join(f"{letters[axis]} = {shape[axis]}" for axis in long) or "none"
    names = ", ".join(letters[axis].lower() for axis in long)
    example = f"index=({names}{',' if len(long) == 1 else ''})"
    came = f"index={given}" if given else "no index"
    return (
        f"expected one plane of an image of shape {tuple(shape)} with axes {letters!r}: "
        f"its stack axes are {sizes}, got {came}; in Python, choose the plane with {example}, or "
        "name the axes with axes='…' (Y rows, X columns, C or S bands, any other letter a stack); "
        "on the command line, save the plane as a file of its own first"
    )
