"""The models that can be chosen, without loading torch."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from napari_edgeflow.errors import WeightsError
from napari_edgeflow.zoo import store

_LOG = logging.getLogger(__name__)
_WEIGHTS = Path(__file__).parent / "weights"
_CHOOSE = (
    "choose a .safetensors file that 'napari-edgeflow train' or 'napari-edgeflow models import' "
    "wrote; checkpoints of other formats become one with 'napari-edgeflow models import FILE'"
)


@dataclass(frozen=True, slots=True)
class WeightsInfo:
    """A model: an architecture and the file with its weights.

    Attributes:
        name: What the user chooses.
        network: Registered architecture.
        path: The safetensors file.
        sha256: Of the file; empty when it was never recorded.
        licence: Of the weights.
        summary: One line.
        align: Overrides the architecture's align target when not empty.
        bundled: The file comes with the package.
        input_side: Side in pixels of the views that suit these weights; 0: the network's.
    """

    name: str
    network: str
    path: Path
    sha256: str
    licence: str
    summary: str
    align: str = ""
    bundled: bool = True
    input_side: int = 0

    @property
    def size_bytes(self) -> int:
        """Size of the file, 0 when it is not there."""
        return self.path.stat().st_size if self.path.exists() else 0


def list_models() -> tuple[WeightsInfo, ...]:
    """All models: the bundled ones, the default first, then the user's own.

    Files of the user's folder that cannot be used are logged and left out.

    Raises:
        WeightsError: The catalogue file is damaged.
    """
    try:
        entries = json.loads((_WEIGHTS / "catalog.json").read_text())
        models = tuple(_entry(item) for item in entries)
        if not models:
            raise ValueError("it lists no model")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"the model catalogue {_WEIGHTS / 'catalog.json'} cannot be read ({error!r}); "
            "reinstall napari-edgeflow"
        ) from error
    return models + _user_models({info.name for info in models})


def _user_models(taken: set[str]) -> tuple[WeightsInfo, ...]:
    """The models in the user's folder, with the hashes that were recorded for them."""
    files = store.user_files()
    if not files:
        return ()
    models = []
    try:
        pins = store.read_pins()
    except WeightsError as error:  # the models can be listed; using one says it again
        _LOG.warning("%s", error)
        pins = {}
    for path in files:
        try:
            if path.stem in taken:
                raise WeightsError(f"{path} has the name of a bundled model; rename the file")
            models.append(_described(path, pins.get(path.name, "")))
        except WeightsError as error:
            _LOG.warning("left out of the models: %s", error)
    return tuple(models)


def _entry(item: dict[str, str]) -> WeightsInfo:
    return WeightsInfo(
        name=item["name"],
        network=item["network"],
        path=_WEIGHTS / item["file"],
        sha256=item["sha256"],
        licence=item["licence"],
        summary=item["summary"],
        align=item.get("align", ""),
        input_side=int(item.get("input_side", "0")),
    )


def find_model(name: str = "default") -> WeightsInfo:
    """The model called ``name``; its file is there and its hash is right.

    Args:
        name: ``default``, a name from ``list_models``, or the path of a safetensors file
            that says in its metadata which network it is for.

    Raises:
        ValueError: No model has that name.
        WeightsError: The file is missing, damaged, or says nothing about its network.
    """
    if name.endswith(".safetensors"):
        return _from_file(Path(name))
    models = list_models()
    if name == "default":
        info = models[0]
    else:
        named = [item for item in models if item.name == name]
        if not named:
            known = ", ".join(("default", *(item.name for item in models)))
            raise ValueError(
                f"no model is called {name!r}; known are {known}, or give the path of a "
                ".safetensors file. 'napari-edgeflow models' lists what can be downloaded"
            )
        info = named[0]
    if info.bundled:
        _check_hash(info, "reinstall napari-edgeflow")
        return info
    return _checked_by_pin(info)


def _checked_by_pin(info: WeightsInfo) -> WeightsInfo:
    """A model of the user's with its hash, which is what it was when it was imported."""
    pinned = store.read_pins().get(info.path.name, "")
    if pinned:
        _check_hash(replace(info, sha256=pinned), "import or download it again")
    return replace(info, sha256=pinned or file_sha256(info.path))


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file.

    Raises:
        WeightsError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(
            f"the weights {path} cannot be read: {error.strerror}; check the path, or choose "
            "another model"
        ) from error


def _check_hash(info: WeightsInfo, remedy: str) -> None:
    found = file_sha256(info.path)
    if found != info.sha256:
        raise WeightsError(
            f"{info.path} is damaged: its sha256 is {found[:12]}… where {info.sha256[:12]}… "
            f"was expected; {remedy}"
        )


def _from_file(path: Path) -> WeightsInfo:
    """A model from a file of the user's, by what its header says."""
    return _described(path, file_sha256(path))


def _described(path: Path, sha256: str) -> WeightsInfo:
    """A model from the metadata of its file."""
    metadata = _metadata(path)
    network = metadata.get("network", "")
    if not network:
        raise WeightsError(
            f"{path} does not say which network it is for: its safetensors metadata has no "
            f"'network' entry; {_CHOOSE}"
        )
    side = metadata.get("input_side", "0")
    if not side.isdecimal():
        raise WeightsError(
            f"{path} says input_side {side!r} in its metadata; expected pixels. Train, import or "
            "download it again"
        )
    return WeightsInfo(
        name=path.stem,
        network=network,
        path=path,
        sha256=sha256,
        licence=metadata.get("licence", "unknown"),
        summary=metadata.get("summary", f"weights from {path}"),
        align=metadata.get("align", ""),
        bundled=False,
        input_side=int(side),
    )


def _metadata(path: Path) -> Mapping[str, str]:
    try:
        found = _header(path).get("__metadata__", {})
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}; {_CHOOSE}") from error
    if not isinstance(found, dict):
        return {}
    return {str(name): str(value) for name, value in found.items()}


def _header(path: Path) -> dict[str, object]:
    """The JSON header of a safetensors file: 8 bytes of length, then the text."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= 10_000_000:
            raise WeightsError(
                f"{path} is not a safetensors file: its header has no valid length; {_CHOOSE}"
            )
        text = file.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError(
            f"{path} is not a safetensors file: its header is no JSON; {_CHOOSE}"
        ) from error
    if not isinstance(header, dict):
        raise WeightsError(f"{path} is not a safetensors file: its header is no table; {_CHOOSE}")
    return header
