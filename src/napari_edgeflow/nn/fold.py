"""Folds layers that follow each other without an activation, for inference alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(network: nn.Module) -> int:
    """Number of batch norms folded; the network computes the same from then on.

    Works in place on a network in eval mode. Pairs are found by what the blocks call them
    (``convN``/``bnN``, ``_conv``/``_batch_norm``) and by their order in a ``Sequential``;
    the norms that follow an activation stay.

    Raises:
        ValueError: The network is in training mode.
    """
    if network.training:
        raise ValueError("batch norms can be folded in eval mode only: call network.eval() first")
    folded = 0
    for module in network.modules():
        for conv_owner, conv_name, norm_owner, norm_name in list(_pairs(module)):
            conv, norm = getattr(conv_owner, conv_name), getattr(norm_owner, norm_name)
            setattr(conv_owner, conv_name, fuse_conv_bn_eval(conv, norm))
            setattr(norm_owner, norm_name, nn.Identity())
            folded += 1
    return folded


def compose_convolutions(first: nn.Conv2d, second: nn.Conv2d) -> nn.Conv2d:
    """One convolution that computes ``second(first(x))``.

    Exact, borders included: a 1×1 convolution without bias maps zero padding to zeros.

    Args:
        first: 1×1, without bias, stride or groups.
        second: Any kernel, without groups.

    Raises:
        ValueError: The first convolution is of another kind.
    """
    if first.kernel_size != (1, 1) or first.bias is not None or first.groups != 1:
        raise ValueError("only a 1×1 convolution without bias and groups can be composed")
    one = nn.Conv2d(
        first.in_channels,
        second.out_channels,
        (second.kernel_size[0], second.kernel_size[1]),
        (second.stride[0], second.stride[1]),
        (int(second.padding[0]), int(second.padding[1])),
        bias=second.bias is not None,
    )
    with torch.no_grad():
        one.weight.copy_(torch.einsum("omhw,mi->oihw", second.weight, first.weight[:, :, 0, 0]))
        if second.bias is not None and one.bias is not None:
            one.bias.copy_(second.bias)
    return one.to(first.weight.device)


def _pairs(module: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module, str]]:
    """(owner, name) of each convolution and of the batch norm that follows it directly."""
    children = dict(module.named_children())
    if isinstance(module, nn.Sequential):
        names = list(children)
        for first, second in itertools.pairwise(names):
            if isinstance(children[first], nn.Conv2d):
                following = children[second]
                if isinstance(following, nn.BatchNorm2d):
                    yield module, first, module, second
                elif isinstance(following, nn.Sequential) and isinstance(
                    following[0], nn.BatchNorm2d
                ):
                    yield module, first, following, "0"
        return
    for name, child in children.items():
        norm_name = "_batch_norm" if name == "_conv" else name.replace("conv", "bn")
        norm = children.get(norm_name)
        if isinstance(child, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            yield module, name, module, norm_name
