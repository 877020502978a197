"""From a name to a network, and from a file to its weights, strictly."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from napari_edgeflow.errors import WeightsError
from napari_edgeflow.nn.base import InteractiveNetwork
from napari_edgeflow.nn.edgeflow import (
    EDGEFLOW_18,
    EDGEFLOW_18S,
    EDGEFLOW_18S_CUES,
    EDGEFLOW_18XS,
    EdgeFlow,
    EdgeFlowConfig,
)
from napari_edgeflow.nn.propagation import (
    PROPAGATION_H18,
    PROPAGATION_R50,
    PROPAGATION_R101,
    CoarseToFine,
    PropagationConfig,
)
from napari_edgeflow.nn.ritm import (
    RITM,
    RITM_H18,
    RITM_H18_BASELINE,
    RITM_H18S,
    RITM_H32,
    RITM_R34,
    RITM_R50,
    RITM_R101,
    RITMConfig,
)
from napari_edgeflow.nn.two_in_one import (
    TWO_IN_ONE,
    TWO_IN_ONE_H18S,
    TWO_IN_ONE_H18S_PNR,
    TWO_IN_ONE_PNR,
    TwoInOne,
    TwoInOneConfig,
)

# A configuration's type decides which network it builds; a new network is one line here and
# one in REGISTRY.
FAMILIES: dict[type[Any], Callable[[Any], InteractiveNetwork]] = {
    EdgeFlowConfig: EdgeFlow,
    RITMConfig: RITM,
    TwoInOneConfig: TwoInOne,
    PropagationConfig: CoarseToFine,
}
REGISTRY: dict[str, Any] = {
    "edgeflow-18": EDGEFLOW_18,
    "edgeflow-18s": EDGEFLOW_18S,
    "edgeflow-18s-cues": EDGEFLOW_18S_CUES,
    "edgeflow-18xs": EDGEFLOW_18XS,
    "ritm-h18s": RITM_H18S,
    "ritm-h18": RITM_H18,
    "ritm-h32": RITM_H32,
    "ritm-h18-baseline": RITM_H18_BASELINE,
    "ritm-r34": RITM_R34,
    "ritm-r50": RITM_R50,
    "ritm-r101": RITM_R101,
    "two-in-one": TWO_IN_ONE,
    "two-in-one-pnr": TWO_IN_ONE_PNR,
    "two-in-one-h18s": TWO_IN_ONE_H18S,
    "two-in-one-h18s-pnr": TWO_IN_ONE_H18S_PNR,
    "propagation-h18": PROPAGATION_H18,
    "propagation-r50": PROPAGATION_R50,
    "propagation-r101": PROPAGATION_R101,
}


def network_names() -> tuple[str, ...]:
    """Registered architectures."""
    return tuple(REGISTRY)


def build_network(name: str, *, align: str | None = None) -> InteractiveNetwork:
    """A freshly initialised network.

    Args:
        name: Registered architecture, alone or with other settings than its own, as in
            ``ritm-h18:input_scheme=dmf,prior=none``.
        align: Overrides what the flow of EdgeFlow's late fusions moves.

    Raises:
        ValueError: No such architecture, or one without that setting or that choice.
    """
    base, _, listed = name.partition(":")
    if base not in REGISTRY:
        raise ValueError(f"no network is called {base!r}; known are {', '.join(REGISTRY)}")
    settings = dict(_setting(name, part) for part in listed.split(",") if listed)
    if align is not None:
        settings["align"] = align
    config = _changed(base, settings)
    return FAMILIES[type(config)](config)


def _setting(name: str, part: str) -> tuple[str, str]:
    key, equals, value = part.partition("=")
    if not (key and equals and value):
        raise ValueError(f"expected NETWORK:SETTING=VALUE,…, got {name!r}")
    return key.strip(), value.strip()


def _changed(base: str, settings: Mapping[str, str]) -> Any:
    """The configuration called ``base`` with other settings, checked."""
    config = REGISTRY[base]
    kinds = {key: kind for key, kind in get_type_hints(type(config)).items() if _choices(kind)}
    for key in settings:
        if key not in kinds:
            raise ValueError(f"{base} has no setting {key!r}; it has {', '.join(kinds)}")
    values = {key: _value(base, key, text, kinds[key]) for key, text in settings.items()}
    return replace(config, **values)


def _choices(kind: Any) -> tuple[str, ...]:
    """What a setting of that type can be, in words; nothing if it cannot be written."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    return {int: ("a whole number",), float: ("a number",), bool: ("true", "false")}.get(kind, ())


def _value(base: str, key: str, text: str, kind: Any) -> object:
    """The setting's value, from text."""
    known = _choices(kind)
    try:
        if kind in (int, float):
            return kind(text)
    except ValueError:
        pass
    if kind not in (int, float) and text in known:
        return text == "true" if kind is bool else text
    raise ValueError(f"{key} of {base} cannot be {text!r}; known are {', '.join(known)}")


def read_metadata(path: Path) -> dict[str, str]:
    """The text that a weights file carries: which network it is for, its training.

    Raises:
        WeightsError: The file is missing or no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"{path} is not a readable safetensors file ({error}); reinstall napari-edgeflow "
            "or choose another model"
        ) from error


def load_weights(network: InteractiveNetwork, path: Path) -> None:
    """Fills the network from a safetensors file, in place; every name and shape must match.

    Raises:
        WeightsError: The file is unreadable or belongs to another network.
    """
    read_metadata(path)
    state = {name: value.float() for name, value in load_file(path).items()}
    own = network.state_dict()
    for name in own:
        if name.endswith("num_batches_tracked"):
            state.setdefault(name, own[name])
    wrong = sorted(set(own) ^ set(state))
    wrong += [n for n in own if n in state and own[n].shape != state[n].shape]
    if wrong:
        shown = ", ".join(wrong[:3])
        raise WeightsError(
            f"{path} holds weights of another network: {len(wrong)} parameters are missing, "
            f"left over or of another shape (for example {shown}); choose the network that its "
            "metadata names, or make a model of a foreign checkpoint with 'napari-edgeflow models "
            "import FILE'"
        )
    network.load_state_dict(state)


def save_weights(
    state: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str], *, half: bool = False
) -> None:
    """Writes weights as safetensors, atomically; batch counters are left out.

    Args:
        state: A network's state dict.
        path: The file to write.
        metadata: Text to keep with the weights.
        half: Store float16.
    """
    kept = {n: v.cpu().contiguous() for n, v in state.items() if v.dtype.is_floating_point}
    if half:
        kept = {name: value.half() for name, value in kept.items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:  # save_file would make it readable by its owner alone
            file.write(save(kept, metadata=dict(metadata)))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def to_channels_last(network: InteractiveNetwork, device: torch.device) -> InteractiveNetwork:
    """The network itself, on the device, its kernels laid out for fast convolutions."""
    network.to(device)
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network
