"""From a name to a network, and from a file to its weights, strictly."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

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
from napari_edgeflow.nn.flow import AlignTarget

# A configuration's type decides which network it builds; a new network is one line here and
# one in REGISTRY.
FAMILIES: dict[type[Any], Callable[[Any], InteractiveNetwork]] = {
    EdgeFlowConfig: EdgeFlow,
}
REGISTRY: dict[str, Any] = {
    "edgeflow-18": EDGEFLOW_18,
    "edgeflow-18s": EDGEFLOW_18S,
    "edgeflow-18s-cues": EDGEFLOW_18S_CUES,
    "edgeflow-18xs": EDGEFLOW_18XS,
}


def network_names() -> tuple[str, ...]:
    """Registered architectures."""
    return tuple(REGISTRY)


def build_network(name: str, *, align: str | None = None) -> InteractiveNetwork:
    """A freshly initialised network.

    Args:
        name: Registered architecture.
        align: Overrides what the flow of EdgeFlow's late fusions moves.

    Raises:
        ValueError: No such architecture or align target, or a network without late fusions.
    """
    if name not in REGISTRY:
        raise ValueError(f"no network is called {name!r}; known are {', '.join(REGISTRY)}")
    config = REGISTRY[name]
    if align is not None:
        config = _with_align(name, config, align)
    return FAMILIES[type(config)](config)


def _with_align(name: str, config: Any, align: str) -> EdgeFlowConfig:
    if not isinstance(config, EdgeFlowConfig):
        raise ValueError(f"align is a setting of EdgeFlow; {name} has none")
    if align not in get_args(AlignTarget):
        known = ", ".join(get_args(AlignTarget))
        raise ValueError(f"no align target is called {align!r}; known are {known}")
    return replace(config, align=cast(AlignTarget, align))


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
            f"left over or of another shape (for example {shown})"
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
    with temporary.open("wb") as file:  # save_file would make it readable by its owner alone
        file.write(save(kept, metadata=dict(metadata)))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def to_channels_last(network: InteractiveNetwork, device: torch.device) -> InteractiveNetwork:
    """The network itself, on the device, its kernels laid out for fast convolutions."""
    network.to(device)
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network
