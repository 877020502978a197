"""Reads Paddle's ``.pdparams``, a pickle of numpy arrays by name, without running any of it.

A pickle is a program that names the functions it wants to be called. Here every name is
answered by a stand-in of this module that only takes notes, or refused; not even numpy's own
functions are called before the notes have been checked.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from napari_edgeflow._types import AnyArray
from napari_edgeflow.errors import WeightsError

MAX_FILE_BYTES = 2**30
_MAX_STEPS = 2_000_000
_MAX_TEXT_BYTES = 2**31
_PADDLE_NAMES = "StructuredToParameterName@@"
_TYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1")
_EXPECTED = "expected a Paddle checkpoint (.pdparams): a pickle of numpy arrays by parameter name"
_BROKEN = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)
# No checkpoint needs them: classes called directly, references to things outside the file.
_REFUSED_STEPS = {
    "BINPERSID", "EXT1", "EXT2", "EXT4", "INST", "NEWOBJ", "NEWOBJ_EX", "NEXT_BUFFER", "OBJ",
    "PERSID",
}  # fmt: skip


class ForbiddenNameError(pickle.UnpicklingError):
    """The pickle asks for something other than a numpy array."""


class StoredType:
    """Notes on a number type: numpy's code such as ``f4`` and the byte order."""

    __slots__ = ("code", "order")

    def __init__(self, code: object) -> None:
        if not isinstance(code, str) or code not in _TYPES:
            raise pickle.UnpicklingError(f"numbers of type {str(code)[:20]!r}")
        self.code, self.order = code, "="

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("a number type of unknown form")
        if any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError("a number type with parts")
        self.order = state[1]


class StoredArray:
    """Notes on an array: shape, number type, bytes."""

    __slots__ = ("by_columns", "content", "shape", "type")

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("an array of unknown form")
        _, self.shape, self.type, self.by_columns, self.content = state

    def to_numpy(self) -> AnyArray:
        """The array, a view of the bytes read.

        Raises:
            ValueError: The notes do not fit together.
        """
        shape, kind, content = self.shape, self.type, self.content
        if not isinstance(kind, StoredType) or not isinstance(content, bytes | bytearray):
            raise ValueError("no bytes of numbers")
        if not isinstance(shape, tuple) or len(shape) > 8:
            raise ValueError("no shape")
        if not all(type(n) is int and 0 <= n < 2**31 for n in shape):
            raise ValueError("no shape")
        dtype = np.dtype(kind.order + kind.code)
        if math.prod(shape) * dtype.itemsize != len(content):
            raise ValueError(f"shape {shape}, but {len(content)} bytes")
        flat = np.frombuffer(content, dtype=dtype)
        return flat.reshape(shape, order="F" if self.by_columns else "C")


class _ArrayClass:
    """Stands for ``numpy.ndarray``, which pickles name but never call."""

    __slots__ = ()


class _Reconstruct:
    """Stands for ``numpy.core.multiarray._reconstruct``."""

    __slots__ = ()

    def __call__(self, subtype: object, _shape: object, _code: object) -> StoredArray:
        if not isinstance(subtype, _ArrayClass):
            raise pickle.UnpicklingError("an array of another class")
        return StoredArray()


class _FromBuffer:
    """Stands for ``numpy.core.numeric._frombuffer`` of protocol 5."""

    __slots__ = ()

    def __call__(self, content: object, kind: object, shape: object, order: object) -> StoredArray:
        made = StoredArray()
        made.__setstate__((1, shape, kind, order == "F", content))
        return made


class _TypeClass:
    """Stands for ``numpy.dtype``."""

    __slots__ = ()

    def __call__(self, code: object, _align: object = False, _copy: object = True) -> StoredType:
        return StoredType(code)


class _Encode:
    """Stands for ``_codecs.encode``: how protocol 2 writes bytes."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = _MAX_TEXT_BYTES

    def __call__(self, text: object, encoding: object = "latin1") -> bytes:
        if not isinstance(text, str) or encoding != "latin1":
            raise pickle.UnpicklingError("text of another encoding")
        self._left -= len(text)
        if self._left < 0:
            raise pickle.UnpicklingError("more bytes than a checkpoint can hold")
        return text.encode("latin1")


class _ArraysOnly(pickle.Unpickler):
    """Knows six names; everything else is refused before it is imported."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
        known: dict[tuple[str, str], object] = {
            ("_codecs", "encode"): _Encode(),
            ("numpy", "dtype"): _TypeClass(),
            ("numpy", "ndarray"): _ArrayClass(),
        }
        for core in ("numpy.core", "numpy._core"):  # before and since numpy 2
            known[f"{core}.multiarray", "_reconstruct"] = _Reconstruct()
            known[f"{core}.numeric", "_frombuffer"] = _FromBuffer()
        self._known = known

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for this name.

        Raises:
            ForbiddenNameError: The name has none.
        """
        try:
            return self._known[module, name]
        except KeyError:
            raise ForbiddenNameError(f"{module}.{name}"[:100]) from None


def read_pdparams(path: Path) -> dict[str, AnyArray]:
    """The arrays of a Paddle checkpoint by parameter name; views, not to be written to.

    Raises:
        WeightsError: The file is too large, damaged, or holds anything but numpy arrays. In
            no case was code of the file run.
    """
    content = _read_whole(path)
    try:
        _check_steps(content)
        found = _ArraysOnly(content).load()
    except ForbiddenNameError as error:
        raise WeightsError(
            f"{path} was refused: it asks to run {error}. {_EXPECTED}, and nothing else. None "
            "of it was run; do not open this file with other programs, and get the checkpoint "
            "from its publisher"
        ) from error
    except _BROKEN as error:
        raise WeightsError(
            f"{path} cannot be read as a checkpoint ({str(error) or type(error).__name__}): "
            f"{_EXPECTED}; download it again, as it may be cut short"
        ) from error
    arrays = _arrays(path, found)
    if sum(array.nbytes for array in arrays.values()) > 2 * len(content):
        raise WeightsError(
            f"{path} was refused: its parameters would take more memory than the file has bytes; "
            "get the checkpoint from its publisher"
        )
    return arrays


def _read_whole(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise WeightsError(
                f"{path} is {size / 1e6:.0f} MB: {_EXPECTED} of at most "
                f"{MAX_FILE_BYTES / 1e6:.0f} MB; choose another file"
            )
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read: {error.strerror or error}; check the path"
        ) from error


def _check_steps(content: bytes) -> None:
    """Looks at the pickle's steps without taking any: sizes, counts, kinds of steps.

    Raises:
        ValueError: The file claims more than it holds, or does what no checkpoint does.
    """
    for number, (step, argument, _place) in enumerate(pickletools.genops(content)):
        if step.name in _REFUSED_STEPS:
            raise ForbiddenNameError(f"the pickle step {step.name}")
        if number > _MAX_STEPS:
            raise ValueError(f"it has more than {_MAX_STEPS} steps")
        if step.name.endswith("PUT") and int(argument or 0) > _MAX_STEPS:
            raise ValueError("it counts further than a checkpoint can")


def _arrays(path: Path, found: object) -> dict[str, AnyArray]:
    if not isinstance(found, dict) or not found:
        raise WeightsError(
            f"{path} holds no table of parameters: {_EXPECTED}; choose the file with the "
            "network's weights"
        )
    arrays = {}
    for name, value in found.items():
        if name == _PADDLE_NAMES:
            continue
        if not isinstance(name, str) or not isinstance(value, StoredArray):
            raise WeightsError(
                f"{path} holds more than parameters (the entry {str(name)[:60]!r}): {_EXPECTED}; "
                "choose the file with the network's weights, not an optimiser's state"
            )
        try:
            arrays[name] = value.to_numpy()
        except (AttributeError, TypeError, ValueError) as error:
            raise WeightsError(
                f"{path} is damaged at {name[:60]!r} ({error}); download it again"
            ) from error
    return arrays
