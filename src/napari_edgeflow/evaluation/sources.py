"""From the name on the command line to a segmenter: a model, a weights file or a baseline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_edgeflow.evaluation.segmenters import Segmenter, SessionSegmenter

if TYPE_CHECKING:
    from napari_edgeflow._types import AnyArray
    from napari_edgeflow.evaluation.segmenters import SessionLike


def _grabcut() -> Segmenter:
    from napari_edgeflow.evaluation.baselines import GrabCut

    return GrabCut()


def _random_walker() -> Segmenter:
    from napari_edgeflow.evaluation.baselines import RandomWalker

    return RandomWalker()


BASELINES: dict[str, Callable[[], Segmenter]] = {
    "grabcut": _grabcut,
    "random_walker": _random_walker,
}


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A baseline, a model of the catalogue or a weights file, by name.

    Attributes:
        model: ``grabcut``, ``random_walker``, a catalogue name or a path ending in
            ``.safetensors``.
        device: ``auto``, ``cpu`` or ``cuda``; baselines always run on the CPU.
    """

    model: str
    device: str = "auto"

    def build(self) -> Segmenter:
        """A segmenter with its weights loaded.

        Raises:
            WeightsError: No such model, or a bad file.
            DeviceError: The device is not there.
        """
        if self.model in BASELINES:
            return BASELINES[self.model]()
        from napari_edgeflow.inference.predictor import Predictor
        from napari_edgeflow.inference.session import Session

        predictor = Predictor.from_zoo(self.model, device=self.device)

        def open_session(image: AnyArray, field_of_view: float) -> SessionLike:
            return Session(image, predictor, field_of_view)

        return SessionSegmenter(open_session)

    def identify(self) -> tuple[str, str | None]:
        """(name, sha256 of the weights or None), without loading them.

        Raises:
            ValueError: No model has that name.
            WeightsError: Its file is missing or damaged.
        """
        if self.model in BASELINES:
            return self.model, None
        from napari_edgeflow.zoo.catalog import find_model

        info = find_model(self.model)
        return info.name, info.sha256

    def find_device(self) -> str:
        """``cpu``, ``cuda`` or ``cuda:N``: where it will run.

        Raises:
            DeviceError: The device is not there.
        """
        if self.model in BASELINES:
            return "cpu"
        from napari_edgeflow.inference.device import resolve_device

        return str(resolve_device(self.device))
