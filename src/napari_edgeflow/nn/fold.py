"""Folds batch norms into the convolutions before them, for inference alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

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
