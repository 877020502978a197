"""The contract that every network keeps, so that no caller asks which model it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from napari_edgeflow._types import ClickKind as ClickKind
from napari_edgeflow._types import Encoding as Encoding
from napari_edgeflow.nn.fold import fold_batch_norms

PriorKind = Literal["none", "edge", "mask"]


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """What a network needs from its caller.

    Attributes:
        prior: What of the step before is fed back: nothing, edge or mask probabilities.
        click_radius_px: Radius of the disks (sigma of the Gaussians, where distances are cut
            off) that encode clicks, in network-input pixels.
        input_side: Side in pixels of the (square) views it was trained on.
        encoding: How ``click_maps`` show clicks.
        click_kinds: Kinds of clicks it takes, one channel of ``click_maps`` each, in order.
    """

    prior: PriorKind = "edge"
    click_radius_px: float = 5.0
    input_side: int = 256
    encoding: Encoding = "disk"
    click_kinds: tuple[ClickKind, ...] = ("positive", "negative")


class NetworkOutput(NamedTuple):
    """Logits of one forward pass, each ``(B, 1, H, W)`` float at the input's size.

    Attributes:
        mask_logits: The answer (FineNet's where there is one).
        coarse_logits: CoarseNet's mask; the same tensor as ``mask_logits`` without FineNet.
        edge_logits: The object's edge, or None for networks without an edge head.
        aux_logits: Auxiliary mask straight from the backbone; None in eval mode.
    """

    mask_logits: Tensor
    coarse_logits: Tensor
    edge_logits: Tensor | None
    aux_logits: Tensor | None


class InteractiveNetwork(nn.Module):
    """Base of all networks: one input contract, one output contract.

    Colours are normalised inside (ImageNet mean and standard deviation).

    Attributes:
        spec: What the network needs.
        refines: Run the refinement stage, where there is one; off in the first stage of
            training.
    """

    spec: NetworkSpec

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.refines = True
        mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
        std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
        self.register_buffer("image_mean", mean, persistent=False)
        self.register_buffer("image_std", std, persistent=False)

    def normalise(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` image in [0, 1] with ImageNet's mean 0 and deviation 1."""
        mean, std = self.get_buffer("image_mean"), self.get_buffer("image_std")
        return (image - mean) / std

    @property
    def stages(self) -> tuple[InteractiveNetwork, ...]:
        """The networks that answer one after the other; this one itself for most.

        Between two of them a caller may zoom in to what the earlier one found; its mask's
        probabilities are the later one's prior.
        """
        return (self,)

    def glance(
        self, image: Tensor, click_maps: Tensor, prior: Tensor, points: Tensor | None = None
    ) -> Tensor:
        """Mask logits ``(B, 1, H, W)`` with the least work: enough to find the object.

        Takes what ``forward`` takes. Networks with parts that only sharpen the answer
        leave them out here.
        """
        return self(image, click_maps, prior, points).coarse_logits  # type: ignore[no-any-return]

    def prepare_inference(self) -> None:
        """Puts the network into eval mode and merges what can be merged, for good.

        The answers stay the same up to rounding; training cannot go on afterwards.
        """
        self.eval()
        fold_batch_norms(self)

    def forward(
        self, image: Tensor, click_maps: Tensor, prior: Tensor, points: Tensor | None = None
    ) -> NetworkOutput:
        """Logits for a batch of views.

        Args:
            image: ``(B, 3, H, W) float in [0, 1]``, RGB.
            click_maps: ``(B, K, H, W) float in [0, 1]``, one map for each of
                ``spec.click_kinds``.
            prior: ``(B, 1, H, W) float in [0, 1]``: see ``spec.prior``; zeros at the start.
            points: ``(B, N, 3) float``: the same clicks as a list of (y, x, index into
                ``spec.click_kinds``), rows of −1 where there are fewer than N. Only networks
                that look features up at the clicks read it; those need it.
        """
        raise NotImplementedError
