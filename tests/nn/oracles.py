"""Layers once more in numpy, slow and in double precision, from a layer's own weights."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates
from torch import Tensor, nn

Array = npt.NDArray[np.float64]


def to_array(tensor: Tensor) -> Array:
    return np.asarray(tensor.detach().double().numpy())


def convolve(layer: nn.Conv2d, features: Array) -> Array:
    """The sum over taps of a convolution of ``(C, H, W)``, zeros outside."""
    weight = to_array(layer.weight)
    (stride, _), (dilation, _) = layer.stride, layer.dilation
    pad = int(layer.padding[0])
    out_channels, group_in, kernel, _ = weight.shape
    _, height, width = features.shape
    reach = dilation * (kernel - 1) + 1
    rows = (height + 2 * pad - reach) // stride + 1
    columns = (width + 2 * pad - reach) // stride + 1
    out = np.zeros((out_channels, rows, columns))
    if layer.bias is not None:
        out += to_array(layer.bias)[:, None, None]
    per_group = out_channels // layer.groups
    for o, i in product(range(out_channels), range(group_in)):
        source = features[(o // per_group) * group_in + i]
        padded = np.pad(source, pad)
        for dy, dx in product(range(kernel), repeat=2):
            part = padded[dy * dilation :, dx * dilation :][::stride, ::stride]
            out[o] += weight[o, i, dy, dx] * part[:rows, :columns]
    return out


def normalise(layer: nn.BatchNorm2d, features: Array) -> Array:
    """Batch norm in eval mode, ``(C, H, W)``."""
    assert layer.running_mean is not None
    assert layer.running_var is not None
    mean, var = to_array(layer.running_mean), to_array(layer.running_var)
    slope = to_array(layer.weight) / np.sqrt(var + layer.eps)
    shifted = (features - mean[:, None, None]) * slope[:, None, None]
    return np.asarray(shifted + to_array(layer.bias)[:, None, None])


def leaky(features: Array, slope: float = 0.0) -> Array:
    return np.where(features > 0, features, slope * features)


def run(layers: nn.Module, features: Array) -> Array:
    """A ``Sequential`` of convolutions, batch norms and ReLUs; dropout does nothing."""
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d):
            features = convolve(layer, features)
        elif isinstance(layer, nn.BatchNorm2d):
            features = normalise(layer, features)
        elif isinstance(layer, nn.ReLU):
            features = leaky(features)
    return features


def resample(features: Array, size: tuple[int, int]) -> Array:
    """Bilinear; the corner pixels' centres stay the corners."""
    _, height, width = features.shape
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    at = [y * (height - 1) / max(size[0] - 1, 1), x * (width - 1) / max(size[1] - 1, 1)]
    return np.stack([map_coordinates(plane, at, order=1, mode="nearest") for plane in features])
