"""From the name on the command line to a segmenter: a model, a weights file or a baseline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from napari_edgeflow.evaluation.segmenters import Segmenter, SessionSegmenter

if TYPE_CHECKING:
    from napari_edgeflow._types import AnyArray
    from napari_edgeflow.evaluation.segmenters import SessionLike
    from napari_edgeflow.inference.predictor import SupportsPredict


def _grabcut() -> Segmenter:
    from napari_edgeflow.evaluation.baselines import GrabCut

    return GrabCut()


def _random_walker() -> Segmenter:
    from napari_edgeflow.evaluation.baselines import RandomWalker

    return RandomWalker()


def _watershed() -> Segmenter:
    from napari_edgeflow.evaluation.baselines import Watershed

    return Watershed()


BASELINES: dict[str, Callable[[], Segmenter]] = {
    "grabcut": _grabcut,
    "random_walker": _random_walker,
    "watershed": _watershed,
}

Zoom = Literal["on", "off", "ritm"]
"""``on``: the session's; ``off``: the field of view at every click; ``ritm``: RITM's ZoomIn."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A baseline, a model of the catalogue or a weights file, by name.

    Attributes:
        model: ``grabcut``, ``random_walker``, ``watershed``, a catalogue name or a path ending
            in ``.safetensors``; a hyphen is as good as an underscore.
        device: ``auto``, ``cpu`` or ``cuda``; baselines always run on the CPU.
        zoom: Which part of the image a network sees; of no meaning for baselines.
        flip: Average a network's answers to the view and to its mirror image.
        zoom_side: Longer side in pixels of RITM's zoomed view.
    """

    model: str
    device: str = "auto"
    zoom: Zoom = "on"
    flip: bool = False
    zoom_side: int = 400

    def build(self) -> Segmenter:
        """A segmenter with its weights loaded.

        Raises:
            WeightsError: No such model, or a bad file.
            DeviceError: The device is not there.
        """
        if self.baseline is not None:
            return BASELINES[self.baseline]()
        from napari_edgeflow.inference.flip import FlipPredictor
        from napari_edgeflow.inference.predictor import Predictor

        predictor = Predictor.from_zoo(self.model, device=self.device)
        return _segmenter(
            FlipPredictor(predictor) if self.flip else predictor, self.zoom, self.zoom_side
        )

    @property
    def baseline(self) -> str | None:
        """The baseline's name, None for a network."""
        name = self.model.replace("-", "_")
        return name if name in BASELINES else None

    def options(self) -> dict[str, object]:
        """How a network's weights are used; nothing for a baseline."""
        if self.baseline is not None:
            return {}
        side = {"zoom_side": self.zoom_side} if self.zoom == "ritm" else {}
        return {"zoom": self.zoom, "flip": self.flip, **side}

    def identify(self) -> tuple[str, str | None]:
        """(name, sha256 of the weights or None), without loading them.

        Raises:
            ValueError: No model has that name.
            WeightsError: Its file is missing or damaged.
        """
        if self.baseline is not None:
            return self.baseline, None
        from napari_edgeflow.zoo.catalog import find_model

        info = find_model(self.model)
        return info.name, info.sha256

    def find_device(self) -> str:
        """``cpu``, ``cuda`` or ``cuda:N``: where it will run.

        Raises:
            DeviceError: The device is not there.
        """
        if self.baseline is not None:
            return "cpu"
        from napari_edgeflow.inference.device import resolve_device

        return str(resolve_device(self.device))


def _segmenter(predictor: SupportsPredict, zoom: Zoom, side: int) -> Segmenter:
    """The segmenter that shows ``predictor`` the image by the rule ``zoom``."""
    from napari_edgeflow.evaluation.views import FixedView, RitmView
    from napari_edgeflow.inference.session import Session

    if zoom == "off":
        return FixedView(predictor)
    if zoom == "ritm":
        return RitmView(predictor, side)

    def open_session(image: AnyArray, field_of_view: float) -> SessionLike:
        return Session(image, predictor, field_of_view)

    return SessionSegmenter(open_session)
