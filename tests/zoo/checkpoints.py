"""Writes checkpoints in the published formats, and files that only pretend to be some."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_edgeflow.nn.edgeflow import EdgeFlow, EdgeFlowConfig
from napari_edgeflow.nn.hrnet import HRNetConfig

TINY = EdgeFlowConfig(HRNetConfig(4, 1, 1, 1, 1), 4, align_channels=4, fine_width=4)
SMALLER = EdgeFlowConfig(HRNetConfig(2, 1, 1, 1, 1), 4, align_channels=4, fine_width=4)
RITM_CONFIG = {
    "class": "isegm.model.is_hrnet_model.HRNetModel",
    "params": {
        "width": {"type": "int", "value": 18, "specified": True},
        "use_disks": {"type": "bool", "value": True, "specified": True},
        "norm_radius": {"type": "int", "value": 5, "specified": True},
        "use_leaky_relu": {"type": "bool", "value": True, "specified": True},
        "use_rgb_conv": {"type": "bool", "value": False, "specified": False},
        "norm_layer": {"type": "class", "value": "torch.nn.BatchNorm2d", "specified": False},
    },
}


def random_network(config: EdgeFlowConfig = TINY, seed: int = 1) -> EdgeFlow:
    """A network whose every value differs from a fresh one's, statistics too."""
    torch.manual_seed(seed)
    network = EdgeFlow(config)
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.add_(torch.rand(value.shape) * 0.01)
    return network.eval()


def paddle_names(network: nn.Module) -> dict[str, str]:
    """Paddle's name for each of ours, by what kind of layer owns it."""
    names = {}
    for owner, module in network.named_modules():
        prefix = f"{owner}." if owner else ""
        for name, _ in module.named_parameters(recurse=False):
            renamed = "_weight" if isinstance(module, nn.PReLU) else name
            names[prefix + name] = prefix + renamed
        if isinstance(module, nn.BatchNorm2d):
            names[f"{prefix}running_mean"] = f"{prefix}_mean"
            names[f"{prefix}running_var"] = f"{prefix}_variance"
    return names


def paddle_arrays(network: nn.Module) -> dict[str, Any]:
    """What Paddle would have kept of the network."""
    state = network.state_dict()
    arrays = {new: state[old].numpy().copy() for old, new in paddle_names(network).items()}
    return arrays | {"StructuredToParameterName@@": {name: f"p_{name}" for name in arrays}}


def write_pdparams(arrays: Mapping[str, Any], path: Path, protocol: int = 4) -> Path:
    """A ``.pdparams`` file."""
    path.write_bytes(pickle.dumps(dict(arrays), protocol=protocol))
    return path


def write_pth(state: Mapping[str, Tensor], path: Path, *, old: bool = False) -> Path:
    """A ``.pth`` file as RITM's training writes it."""
    content = {"state_dict": dict(state), "config": RITM_CONFIG}
    torch.save(content, path, _use_new_zipfile_serialization=not old)
    return path


class Bomb:
    """Asks to run ``touch FLAG`` when it is unpickled."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return os.system, (f"touch {self.flag}",)


def same_outputs(first: nn.Module, second: nn.Module) -> bool:
    """True when both networks compute the very same numbers."""
    draw = torch.Generator().manual_seed(3)
    views = [torch.rand(1, channels, 33, 47, generator=draw) for channels in (3, 2, 1)]
    with torch.no_grad():
        pairs = list(zip(first(*views), second(*views), strict=True))
    assert all(torch.isfinite(a).all() for a, _ in pairs if a is not None), "nothing to compare"
    return all((a is None and b is None) or torch.equal(a, b) for a, b in pairs)


def arange(*shape: int, dtype: str = "f4") -> Any:
    """Numbers in the order of memory."""
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)
