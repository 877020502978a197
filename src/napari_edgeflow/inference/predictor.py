"""A network ready to answer: numpy in, numpy out."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from napari_edgeflow._types import BoolArray, Click, ClickKind, FloatArray
from napari_edgeflow.clicks.encode import click_maps, mask_edge, point_list
from napari_edgeflow.inference.device import (
    Precision,
    describe_device,
    resolve_device,
    resolve_precision,
)
from napari_edgeflow.nn.base import InteractiveNetwork
from napari_edgeflow.zoo.build import build_network, load_weights, to_channels_last
from napari_edgeflow.zoo.catalog import find_model

SHAPE_STEP = 16
GLANCE_SIDE_PX = 96


@dataclass(frozen=True, slots=True, eq=False)
class RawPrediction:
    """The network's answer on one view.

    Attributes:
        logits: ``(h, w) float32``: mask logits.
        prior: ``(h, w) float32 in [0, 1]``: what the next click gets back.
    """

    logits: FloatArray
    prior: FloatArray


class SupportsPredict(Protocol):
    """What a session needs from whatever answers clicks."""

    @property
    def name(self) -> str:
        """Name of the model."""
        ...

    @property
    def input_side(self) -> int:
        """Side in pixels of the views it likes."""
        ...

    @property
    def click_kinds(self) -> tuple[ClickKind, ...]:
        """Kinds of clicks it takes."""
        ...

    @property
    def takes_prior(self) -> bool:
        """True when it makes use of the step before, or of a mask made elsewhere."""
        ...

    @property
    def stages(self) -> tuple[SupportsPredict, ...]:
        """What answers one after the other, zooming in between; itself alone for most."""
        ...

    def predict(
        self, image: FloatArray, clicks: Sequence[Click], prior: FloatArray | None
    ) -> RawPrediction:
        """The answer for ``(h, w, 3) float32 in [0, 1]`` and clicks in its pixels."""
        ...

    def glance(self, image: FloatArray, clicks: Sequence[Click]) -> FloatArray:
        """``(h, w) float32``: rough mask logits, as quickly as can be."""
        ...

    def prior_from_mask(self, mask: BoolArray) -> FloatArray:
        """``(h, w) float32``: the prior that stands for a mask made elsewhere."""
        ...


class Predictor:
    """A network on its device.

    Args:
        network: Any registered network with its weights.
        name: Shown to the user.
        device: See ``resolve_device``.
        precision: See ``resolve_precision``.
        sha256: Of the weights' file, for reports.
        input_side: Side in pixels of the views it is shown; None: what the network asks for.

    Raises:
        DeviceError: The device is not there.
    """

    def __init__(
        self,
        network: InteractiveNetwork,
        *,
        name: str,
        device: str = "auto",
        precision: Precision = "auto",
        sha256: str = "",
        input_side: int | None = None,
    ) -> None:
        self.name = name
        self.sha256 = sha256
        self.device = resolve_device(device)
        self.input_side = input_side or network.spec.input_side
        self._spec = network.spec
        network.prepare_inference()
        self._network = to_channels_last(network, self.device)
        self._autocast = resolve_precision(precision, self.device) is torch.bfloat16

    @classmethod
    def from_zoo(
        cls,
        name: str | os.PathLike[str] = "default",
        device: str = "auto",
        precision: Precision = "auto",
    ) -> Predictor:
        """The model called ``name``, or the one in the safetensors file at that path.

        Args:
            name: ``default``, a name from ``napari-edgeflow models``, or the path of a
                ``.safetensors`` file that ``napari-edgeflow train`` wrote.
            device: ``auto`` (CUDA when there is one), ``cpu``, ``cuda`` or ``cuda:N``.
            precision: ``auto`` (bfloat16 where it is native), ``float32`` or ``bfloat16``.

        Raises:
            ValueError: No model has that name.
            WeightsError: Its file is missing, corrupt or of another network.
            DeviceError: The device is not on this machine.
        """
        resolve_device(device)
        info = find_model(os.fspath(name))
        network = build_network(info.network, align=info.align or None)
        load_weights(network, info.path)
        return cls(
            network,
            name=info.name,
            device=device,
            precision=precision,
            sha256=info.sha256,
            input_side=info.input_side or None,
        )

    @property
    def click_kinds(self) -> tuple[ClickKind, ...]:
        """Kinds of clicks that the network takes."""
        return self._spec.click_kinds

    @property
    def takes_prior(self) -> bool:
        """True when the network makes use of the step before."""
        return self._spec.prior != "none"

    @property
    def stages(self) -> tuple[Predictor, ...]:
        """The network's stages, each as a predictor that shares its weights."""
        parts = self._network.stages
        return (self,) if len(parts) == 1 else tuple(self._with(part) for part in parts)

    def _with(self, network: InteractiveNetwork) -> Predictor:
        other = copy.copy(self)
        other._network = network
        return other

    @property
    def device_line(self) -> str:
        """Model, device and number format, for the user."""
        precision = "bfloat16 where exact enough" if self._autocast else "float32"
        return f"{self.name} · {describe_device(self.device, precision)}"

    def predict(
        self, image: FloatArray, clicks: Sequence[Click], prior: FloatArray | None
    ) -> RawPrediction:
        """Logits and prior for one view.

        Args:
            image: ``(h, w, 3) float32 in [0, 1]``, RGB, any size.
            clicks: In the image's pixels.
            prior: ``(h, w) float32 in [0, 1]`` of the step before; None at the start.

        Raises:
            ValueError: The prior's shape is not the image's, or the network does not take
                clicks of this kind.
        """
        with torch.inference_mode():
            return self._run(*self._inputs(image, clicks, prior))[0]

    def predict_batch(
        self,
        images: Sequence[FloatArray],
        clicks: Sequence[Sequence[Click]],
        priors: Sequence[FloatArray],
    ) -> list[RawPrediction]:
        """Logits and prior for several views of one size, in one run of the network.

        Args:
            images: ``(h, w, 3) float32 in [0, 1]`` each, RGB.
            clicks: Of each, in its pixels.
            priors: ``(h, w) float32 in [0, 1]`` each.

        Raises:
            ValueError: As of ``predict``.
        """
        n_points = max(len(each) for each in clicks)
        views = zip(images, clicks, priors, strict=True)
        tensors = [self._inputs(*view, max(n_points, 1)) for view in views]
        with torch.inference_mode():
            return self._run(*(torch.cat(parts) for parts in zip(*tensors, strict=True)))

    def glance(self, image: FloatArray, clicks: Sequence[Click]) -> FloatArray:
        """``(h, w) float32``: mask logits without refinement, to find where the object is.

        Args:
            image: ``(h, w, 3) float32 in [0, 1]``, RGB, any size.
            clicks: In the image's pixels.

        Raises:
            ValueError: The network does not take clicks of this kind.
        """
        tensors = self._inputs(image, clicks, None)
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self._autocast),
        ):
            logits = self._network.glance(*tensors)
        return np.asarray(logits[0, 0].float().cpu().numpy(), dtype=np.float32)

    def warm_up(self) -> None:
        """Answers two clicks on nothing, so that the user's first click does not pay for it.

        The shapes are those of a first click in a square view.
        """
        for side in (min(self.input_side, GLANCE_SIDE_PX), self.input_side):
            shape = network_shape((side, side), side)
            click = Click(shape[0] / 2, shape[1] / 2)
            self.predict(np.zeros((*shape, 3), np.float32), [click], None)
            self.glance(np.zeros((*shape, 3), np.float32), [click])

    def _inputs(
        self,
        image: FloatArray,
        clicks: Sequence[Click],
        prior: FloatArray | None,
        n_points: int | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Image, click maps, prior and points as the network takes them, on its device."""
        height, width = image.shape[:2]
        if prior is None:
            prior = np.zeros((height, width), np.float32)
        elif prior.shape != (height, width):
            raise ValueError(f"prior must be {(height, width)} like the image, got {prior.shape}")
        maps = click_maps(clicks, (height, width), self._spec)
        points = point_list(clicks, self._spec, n_points)
        pixels = self._to_device(torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1))
        return (
            pixels[None].contiguous(memory_format=torch.channels_last),
            self._to_device(torch.from_numpy(maps)[None]),
            self._to_device(torch.from_numpy(prior)[None, None]),
            self._to_device(torch.from_numpy(points)[None]),
        )

    def _to_device(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor

    def _run(
        self,
        image: torch.Tensor,
        maps: torch.Tensor,
        prior: torch.Tensor,
        points: torch.Tensor,
    ) -> list[RawPrediction]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._autocast):
            output = self._network(image, maps, prior, points)
        logits = output.mask_logits[:, 0].float()
        if self._spec.prior == "edge" and output.edge_logits is not None:
            fed_back = torch.sigmoid(output.edge_logits[:, 0].float())
        else:
            fed_back = torch.sigmoid(logits)
        pairs = zip(logits.cpu().numpy(), fed_back.cpu().numpy(), strict=True)
        return [RawPrediction(one, other) for one, other in pairs]

    def prior_from_mask(self, mask: BoolArray) -> FloatArray:
        """``(h, w) float32``: the mask's edge or the mask, whichever the network expects."""
        if self._spec.prior == "edge":
            return mask_edge(mask)
        return mask.astype(np.float32)


def network_shape(window_shape: tuple[int, int], input_side: int) -> tuple[int, int]:
    """(h, w) at which a window is shown to the network.

    The aspect is kept and the number of pixels is that of a square of ``input_side``, so
    that every click costs the same; both up to rounding to ``SHAPE_STEP``: a shape that was
    seen before is computed faster than a new one.
    """
    height, width = window_shape
    scale = input_side / math.sqrt(height * width)
    longest = 2.5 * input_side
    scale = min(scale, longest / max(height, width))
    rows, columns = (max(round(side * scale / SHAPE_STEP), 1) for side in window_shape)
    return rows * SHAPE_STEP, columns * SHAPE_STEP
