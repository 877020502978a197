"""Published checkpoints become models of this program: names, network, strict load, file."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor

from napari_edgeflow.errors import WeightsError
from napari_edgeflow.nn.base import InteractiveNetwork
from napari_edgeflow.zoo import store
from napari_edgeflow.zoo.build import REGISTRY, build_network, save_weights
from napari_edgeflow.zoo.catalog import WeightsInfo, file_sha256, list_models
from napari_edgeflow.zoo.checkpoint import Checkpoint, read_checkpoint
from napari_edgeflow.zoo.published import PUBLISHED

RESERVED_NAMES = ("default", "grabcut", "random_walker", "watershed")
"""Names that stand for something else where a model is chosen, hyphens as underscores."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHOWN = 20
_COUNTER = "num_batches_tracked"
_PADDLE = {"_mean": "running_mean", "_variance": "running_var", "_weight": "weight"}
# Networks that were published elsewhere come first where two have the same parameters.
_FIRST = ("edgeflow-18", "ritm-h18s", "ritm-h18", "ritm-h32", "ritm-h18-baseline")
# In the published FineNet, never used by its forward pass (see ``nn.finenet.FineBlock``).
_UNUSED = ("finenet.final_predict.0.conv2.", "finenet.final_predict.0.bn2.")
# What the settings of a RITM checkpoint must say for our network to compute the same.
_RITM_SETTINGS: dict[str, object] = {
    "use_disks": True,
    "norm_radius": 5,
    "use_leaky_relu": True,
    "use_rgb_conv": False,
    "binary_prev_mask": False,
}
# Both papers train on 320×480 views (as many pixels as 392²) and RITM evaluates at 400.
_PUBLISHED_SIDE = "400"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a checkpoint comes from, to be kept with the weights.

    Attributes:
        file_name: Of the original.
        sha256: Of the original.
        url: Where it was downloaded; empty for a file that the user had.
        licence: As its publisher states it; empty: unknown.
        summary: One line; empty: made from the file name.
    """

    file_name: str
    sha256: str
    url: str = ""
    licence: str = ""
    summary: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """A checkpoint that fits a network.

    Attributes:
        network: Registered architecture.
        state: Complete state dict under our names, float32.
        metadata: What a safetensors original said about itself.
    """

    network: str
    state: dict[str, Tensor]
    metadata: dict[str, str]


def import_weights(
    path: Path,
    name: str = "",
    *,
    licence: str = "",
    replace: bool = False,
) -> WeightsInfo:
    """The new model made from a checkpoint file, listed from now on.

    Args:
        path: RITM's ``.pth``, EdgeFlow's or EISeg's ``.pdparams``, or a ``.safetensors`` file
            of this program.
        name: Of the model; empty: made from the file name.
        licence: Of the weights, if known.
        replace: Put it in the place of an imported model of that name.

    Raises:
        ValueError: The name cannot be used.
        WeightsError: The file cannot be used, or the model folder cannot be written to.
    """
    name = check_name(name or name_from(path), replace=replace)
    converted = convert(path)
    origin = Origin(path.name, file_sha256(path), licence=licence or _likely_licence(path.name))
    return save_model(name, converted, origin)


def name_from(path: Path) -> str:
    """A model name made from a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")[:64] or "imported"


def free_name(wanted: str) -> str:
    """The name itself, or the first of ``name-2``, ``name-3``, … that is not taken."""
    taken = {info.name for info in list_models()} | set(RESERVED_NAMES)
    return next(n for n in itertools.chain([wanted], _numbered(wanted)) if n not in taken)


def _numbered(name: str) -> Iterator[str]:
    return (f"{name[:60]}-{number}" for number in itertools.count(2))


def check_name(name: str, *, replace: bool = False) -> str:
    """The name itself, if a new model may have it.

    Raises:
        ValueError: It is taken or cannot be a file name.
    """
    if not _NAME.fullmatch(name) or name.endswith(".safetensors"):
        raise ValueError(
            f"a model cannot be called {name!r}: expected up to 64 letters, digits, '.', '_' and "
            "'-', beginning with a letter or digit; choose another with --name"
        )
    models = list_models()
    own = {info.name for info in models if info.bundled}
    if name in own or name.replace("-", "_") in RESERVED_NAMES:
        raise ValueError(f"{name!r} is a name of the program's own; choose another with --name")
    if not replace and (store.models_folder() / f"{name}.safetensors").exists():
        raise ValueError(
            f"there is a model called {name!r} already; choose another name with --name, or "
            "replace it with --replace"
        )
    return name


def convert(path: Path) -> Converted:
    """The checkpoint under our names, for the network that it fits without remainder.

    Raises:
        WeightsError: It cannot be read, or fits no registered network.
    """
    checkpoint = read_checkpoint(path)
    state = {_our_name(n, checkpoint): v for n, v in checkpoint.state.items()}
    if len(state) < len(checkpoint.state):
        raise WeightsError(
            f"{path} names parameters twice once Paddle's names are translated; get the "
            "checkpoint from its publisher"
        )
    name, network = _find_network(path, state, checkpoint)
    return Converted(name, _complete(path, network, state), dict(checkpoint.metadata))


def save_model(name: str, converted: Converted, origin: Origin) -> WeightsInfo:
    """The model, written to the user's folder and with its hash recorded.

    Raises:
        WeightsError: The folder cannot be written to.
    """
    path = store.make_folder(store.models_folder()) / f"{name}.safetensors"
    try:
        save_weights(converted.state, path, _metadata(converted, origin))
    except OSError as error:
        raise store.write_error(path, error) from error
    store.pin(path.name, file_sha256(path))
    return next(info for info in list_models() if info.path == path)


def _our_name(name: str, checkpoint: Checkpoint) -> str:
    """Torch's name for Paddle's: batch norms' statistics and PReLU's slope differ."""
    if checkpoint.form != "paddle":
        return name
    owner, dot, last = name.rpartition(".")
    return f"{owner}{dot}{_PADDLE.get(last, last)}"


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {n: tuple(v.shape) for n, v in state.items() if not n.endswith(_COUNTER)}


def _find_network(
    path: Path, state: Mapping[str, Tensor], checkpoint: Checkpoint
) -> tuple[str, InteractiveNetwork]:
    """The registered network with just these parameters, and its name."""
    found = {n: s for n, s in _shapes(state).items() if not n.startswith(_UNUSED)}
    wanted = checkpoint.metadata.get("network", "")
    closest, closest_own, fewest = "", found, len(found) + 1
    for name in _in_likely_order(wanted, any(name.startswith("finenet.") for name in found)):
        network = _build(path, name)
        own = _shapes(network.state_dict())
        wrong = {n for n in own.keys() | found.keys() if own.get(n) != found.get(n)}
        if not wrong:
            _check_settings(path, checkpoint.config)
            return name, network
        if not closest or len(wrong) < fewest:
            closest, closest_own, fewest = name, own, len(wrong)
    of = str(checkpoint.config.get("class") or wanted)
    raise WeightsError(
        f"{path} holds weights of another network{f' ({of})' if of else ''}: of known networks "
        f"{closest} is the closest, with {_difference(closest_own, found)}. Choose a checkpoint "
        f"of one of {', '.join(sorted(REGISTRY))}"
    )


def _build(path: Path, name: str) -> InteractiveNetwork:
    try:
        return build_network(name)
    except ValueError as error:
        raise WeightsError(
            f"{path} is for a network that this version does not have ({error}); train it again, "
            "or use the version that wrote it"
        ) from error


def _in_likely_order(wanted: str, has_finenet: bool) -> list[str]:
    """Networks to try, the likely ones first: building one takes its time.

    A network that the file names, perhaps with settings of its own, is the only one.
    """
    if wanted:
        return [wanted]

    def is_unlikely(name: str) -> tuple[bool, bool]:
        return name.startswith("edgeflow") != has_finenet, name not in _FIRST

    return sorted(REGISTRY, key=is_unlikely)


def _difference(own: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> str:
    """Every parameter that does not match, in words."""
    other = [f"{n} {list(found[n])}" for n in found if n in own and found[n] != own[n]]
    lists = {
        "unknown": [name for name in found if name not in own],
        "missing": [name for name in own if name not in found],
        "of another shape": other,
    }
    return "; ".join(
        f"{len(names)} {kind} ({_some(names)})" for kind, names in lists.items() if names
    )


def _some(names: list[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(sorted(names)[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _check_settings(path: Path, config: Mapping[str, object]) -> None:
    """Refuses RITM checkpoints whose parameters fit but whose clicks mean something else.

    Raises:
        WeightsError: See above.
    """
    wrong = [
        f"{name} is {config[name]!r} where {expected!r} is needed"
        for name, expected in _RITM_SETTINGS.items()
        if name in config and config[name] != expected
    ]
    if wrong:
        raise WeightsError(
            f"{path} was trained with other settings than this program computes with: "
            f"{'; '.join(wrong)}; choose a checkpoint with these settings, as the published ones "
            "have"
        )


def _complete(
    path: Path, network: InteractiveNetwork, state: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The network's whole state dict, float32, loaded strictly."""
    whole = network.state_dict()
    for name in whole:
        if not name.endswith(_COUNTER):
            whole[name] = state[name].detach().to(torch.float32).contiguous()
            if not torch.isfinite(whole[name]).all():
                raise WeightsError(
                    f"{path} is damaged: {name} holds values that are no numbers; get the "
                    "checkpoint again"
                )
    network.load_state_dict(whole)
    return whole


def _metadata(converted: Converted, origin: Origin) -> dict[str, str]:
    """What is kept with the weights: all text."""
    licence = origin.licence or converted.metadata.get("licence", "")
    made = {
        "network": converted.network,
        "licence": licence or "unknown: ask who published it",
        "summary": origin.summary or f"imported from {origin.file_name}",
        "source_file": origin.file_name,
        "source_sha256": origin.sha256,
        "imported": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
    if origin.url:
        made["source_url"] = origin.url
    if converted.network in _FIRST and not converted.metadata:
        made["input_side"] = _PUBLISHED_SIDE
    if converted.network == "edgeflow-18" and not converted.metadata:
        made["align"] = "image"
    return dict(converted.metadata) | made


def _likely_licence(file_name: str) -> str:
    """The licence of the published file of that name: a name proves nothing, and this says so."""
    for item in PUBLISHED:
        if item.file_name == file_name:
            return f"{item.licence} (by its file name)"
    return ""
