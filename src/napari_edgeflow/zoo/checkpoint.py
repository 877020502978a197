"""Reads the checkpoint files that people have, told apart by their first bytes."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from napari_edgeflow._types import AnyArray
from napari_edgeflow.errors import WeightsError
from napari_edgeflow.zoo.build import read_metadata
from napari_edgeflow.zoo.unpickle import MAX_FILE_BYTES, read_pdparams

Form = Literal["torch", "paddle", "safetensors"]

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # with and without entries
_OLD_TORCH = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"  # the number that torch wrote before 1.6
_EXPECTED = (
    "expected a checkpoint of RITM (.pth), of EdgeFlow or EISeg (.pdparams), or a .safetensors "
    "file of this program"
)
_MAX_ENTRIES = 20_000
_BROKEN = (
    pickle.UnpicklingError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """What a file holds, under the names that the file uses.

    Attributes:
        form: Which format it was.
        state: Parameters and statistics by name, any number type.
        config: RITM's settings by name with ``class`` among them; empty where there are none.
        metadata: Of a safetensors file.
    """

    form: Form
    state: dict[str, Tensor]
    config: dict[str, object] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_checkpoint(path: Path) -> Checkpoint:
    """The content of a checkpoint; no code of the file is run.

    Raises:
        WeightsError: The file is missing, damaged, hostile, or of another kind.
    """
    try:
        if path.is_dir():
            raise WeightsError(f"{path} is a folder: {_EXPECTED}; choose the file in it")
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(32)
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read: {error.strerror or error}; check the path"
        ) from error
    if size > MAX_FILE_BYTES:
        raise WeightsError(
            f"{path} is {size / 1e6:.0f} MB: {_EXPECTED}, of at most "
            f"{MAX_FILE_BYTES / 1e6:.0f} MB; choose another file"
        )
    if start.startswith(_ZIP):
        _check_zip(path, size)
        return _read_torch(path, size)
    if _OLD_TORCH in start:
        return _read_torch(path, size)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if start[:1] == b"\x80" and len(start) > 2 and start[1] <= pickle.HIGHEST_PROTOCOL:
        arrays = read_pdparams(path)
        return Checkpoint("paddle", {n: _to_tensor(v) for n, v in arrays.items()})
    raise WeightsError(f"{path} is no checkpoint{_guess(start)}: {_EXPECTED}; choose another file")


def _guess(start: bytes) -> str:
    if not start:
        return " but an empty file"
    if start.lstrip()[:1] in (b"<", b"{") or start.startswith(b"version https://git-lfs"):
        return " but text, perhaps a web page saved in its place"
    if start[:2] == b"\x1f\x8b" or start[:6] == b"\xfd7zXZ\0":
        return " but a compressed file, which must be unpacked first"
    return ""


def _to_tensor(array: AnyArray) -> Tensor:
    """A tensor of the same numbers in the machine's byte order."""
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _read_safetensors(path: Path) -> Checkpoint:
    metadata = read_metadata(path)
    try:
        return Checkpoint("safetensors", load_file(path), metadata=metadata)
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"{path} is not a readable safetensors file ({error}); copy or download it again"
        ) from error


def _check_zip(path: Path, size: int) -> None:
    """Refuses archives that grow when they are opened, or are no checkpoint at all.

    Raises:
        WeightsError: See above.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except _BROKEN as error:
        raise WeightsError(
            f"{path} is cut short or damaged ({error}): {_EXPECTED}; download it again"
        ) from error
    names = [entry.filename for entry in entries[:_MAX_ENTRIES]]
    if any(name.endswith((".pdiparams", ".pdmodel")) for name in names):
        raise WeightsError(
            f"{path} holds a network exported for Paddle's inference engine, whose parameters "
            f"have lost their names: {_EXPECTED}; get the training checkpoint (.pdparams)"
        )
    if not any(name.rpartition("/")[2] == "data.pkl" for name in names):
        inside = f" (it holds {names[0][:60]})" if names else ""
        raise WeightsError(
            f"{path} is an archive, but no checkpoint of torch{inside}: {_EXPECTED}; unpack it "
            "and choose the checkpoint in it"
        )
    unpacked = sum(entry.file_size for entry in entries)
    if len(entries) > _MAX_ENTRIES or unpacked > size or any(e.compress_type for e in entries):
        raise WeightsError(
            f"{path} was refused: a checkpoint of torch is stored uncompressed, this one would "
            f"unpack to {unpacked / 1e6:.0f} MB from {size / 1e6:.1f} MB in {len(entries)} "
            "parts; get the checkpoint from its publisher"
        )


def _read_torch(path: Path, size: int) -> Checkpoint:
    try:
        with path.open("rb") as file:  # given a path, torch goes by the end of its name
            found = torch.load(file, map_location="cpu", weights_only=True)
    except _BROKEN as error:
        raise _torch_refusal(path, error) from error
    if not isinstance(found, Mapping):
        raise WeightsError(
            f"{path} holds a {type(found).__name__}, no table of parameters: {_EXPECTED}; choose "
            "another file"
        )
    state = found.get("state_dict", found)
    if not isinstance(state, Mapping) or not state:
        raise WeightsError(f"{path} holds no 'state_dict' of parameters: {_EXPECTED}")
    for name, value in state.items():
        is_plain = isinstance(value, Tensor) and value.layout == torch.strided
        if not isinstance(name, str) or not is_plain or value.is_quantized:
            raise WeightsError(
                f"{path} holds more than parameters (the entry {str(name)[:60]!r}): {_EXPECTED}; "
                "choose the file with the network's weights"
            )
    if sum(value.numel() * value.element_size() for value in state.values()) > 2 * size:
        raise WeightsError(
            f"{path} was refused: its parameters would take more memory than the file has bytes; "
            "get the checkpoint from its publisher"
        )
    return Checkpoint("torch", dict(state), _flat_config(found.get("config")))


def _torch_refusal(path: Path, error: BaseException) -> WeightsError:
    asked = re.search(r"GLOBAL (\S+)", str(error))
    if asked:
        return WeightsError(
            f"{path} was refused: it asks to run {asked.group(1)[:100]}. A checkpoint of torch "
            f"may hold numbers, text and tables only; {_EXPECTED}. None of it was run; get the "
            "checkpoint from its publisher, or save its 'state_dict' alone"
        )
    # torch's own text advises to load the file with its code, which nobody should be told
    text = str(error)
    reason = type(error).__name__ if "weights_only" in text else text.partition("\n")[0][:200]
    return WeightsError(
        f"{path} cannot be read as a checkpoint of torch ({reason}): {_EXPECTED}; download it "
        "again, as it may be cut short"
    )


def _flat_config(config: object) -> dict[str, object]:
    """RITM's ``{'class': …, 'params': {name: {'value': …}}}`` as one table of values."""
    if not isinstance(config, Mapping):
        return {}
    flat: dict[str, object] = {"class": str(config.get("class", ""))}
    parameters = config.get("params", {})
    if isinstance(parameters, Mapping):
        for name, entry in parameters.items():
            flat[str(name)] = entry.get("value") if isinstance(entry, Mapping) else entry
    return flat
