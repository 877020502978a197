"""The worker's side: models and sessions, touched by one thread only.

A request says everything that decides the mask (image, clicks, field of view, post-processing),
so requests can be dropped or repeated without harm: the session is brought up to the request.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from napari_edgeflow._types import (
    BoolArray,
    Click,
    ClickKind,
    PostProcessing,
    Prediction,
    Window,
)
from napari_edgeflow.errors import RasterError
from napari_edgeflow.gui.bands import open_plane
from napari_edgeflow.gui.planes import PlaneImage

_MAX_SESSIONS = 4


class PredictorLike(Protocol):
    """What the window needs of ``inference.Predictor``."""

    @property
    def device_line(self) -> str:
        """Model, device and precision in words."""

    @property
    def click_kinds(self) -> tuple[ClickKind, ...]:
        """Kinds of clicks that the model takes."""


class TimingsLike(Protocol):
    """Seconds of the last click."""

    @property
    def read_s(self) -> float:
        """Reading the raster."""

    @property
    def network_s(self) -> float:
        """The network."""

    @property
    def post_s(self) -> float:
        """Threshold and clean-up."""


class SessionLike(Protocol):
    """What the window needs of ``inference.Session``."""

    postprocessing: PostProcessing

    @property
    def clicks(self) -> tuple[Click, ...]:
        """Clicks so far."""

    @property
    def prediction(self) -> Prediction | None:
        """The mask after them."""

    @property
    def timings(self) -> TimingsLike:
        """Of the last click."""

    def set_clicks(
        self, clicks: Sequence[Click], should_stop: Callable[[], bool] | None = None
    ) -> Prediction | None:
        """Replace the whole list."""

    def peek(
        self,
        clicks: Sequence[Click],
        field_of_view: float | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Prediction | None:
        """The mask that these clicks would give, of this object or a new one."""

    def reset(self, field_of_view: float | None = None) -> None:
        """Start a new object."""

    def start_from(self, mask: BoolArray, window: Window | None = None) -> Prediction:
        """Correct a mask made elsewhere."""

    def refine(
        self, progress: Callable[[int, int], None], should_stop: Callable[[], bool]
    ) -> Prediction:
        """Draw the outline again at native resolution."""

    def unrefine(self) -> Prediction | None:
        """The mask as it was before that."""


PredictorFactory = Callable[[str], PredictorLike]
SessionFactory = Callable[[PlaneImage, Any, float | None], SessionLike]


class ImageRefusedError(RasterError):
    """The image itself cannot be used, whatever the clicks."""


@dataclass(frozen=True, slots=True, eq=False)
class StartMask:
    """The mask of an object that is corrected.

    Attributes:
        mask: ``(h, w) bool``.
        window: Its box, level-0.
    """

    mask: BoolArray
    window: Window


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Everything that decides the mask of one object."""

    image: PlaneImage
    model: str
    object_id: int
    clicks: tuple[Click, ...]
    field_of_view: float
    postprocessing: PostProcessing
    start: StartMask | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The answer to a request."""

    prediction: Prediction | None
    device_line: str
    timings: TimingsLike


@dataclass(slots=True, eq=False)
class _Slot:
    image: PlaneImage
    session: SessionLike
    started: tuple[int, float] | None = None


class Engine:
    """Answers requests; keeps the model and the sessions of the last few planes."""

    def __init__(
        self,
        predictor_factory: PredictorFactory | None = None,
        session_factory: SessionFactory | None = None,
    ) -> None:
        self._new_predictor = predictor_factory or load_predictor
        self._new_session = session_factory or open_session
        self._model: str | None = None
        self._predictor: PredictorLike | None = None
        self._slots: OrderedDict[Any, _Slot] = OrderedDict()

    @property
    def click_kinds(self) -> tuple[ClickKind, ...]:
        """Kinds of clicks that the loaded model takes; the two signs while there is none."""
        return self._predictor.click_kinds if self._predictor else ("positive", "negative")

    def load(self, model: str) -> str:
        """The device line of this model, loaded now if it was not."""
        if self._predictor is None or self._model != model:
            self._slots.clear()
            self._predictor, self._model = None, None
            self._predictor = self._new_predictor(model)
            self._model = model
        return self._predictor.device_line

    def run(self, request: Request, should_stop: Callable[[], bool]) -> Result:
        """The mask that the request asks for.

        Raises:
            ImageRefusedError: The image cannot be opened.
            Cancelled: ``should_stop`` said so.
        """
        line = self.load(request.model)
        slot = self._slot(request)
        if slot.started != (request.object_id, request.field_of_view):
            self._start(slot, request)
        session = slot.session
        if session.clicks != request.clicks:
            session.set_clicks(request.clicks, should_stop)
        if session.postprocessing != request.postprocessing:
            session.postprocessing = request.postprocessing
        return Result(session.prediction, line, session.timings)

    def refine(
        self,
        request: Request,
        should_stop: Callable[[], bool],
        progress: Callable[[int, int], None],
    ) -> Result:
        """The mask that the request asks for, with its outline at native resolution.

        Raises:
            ImageRefusedError: The image cannot be opened.
            Cancelled: ``should_stop`` said so.
        """
        self.run(request, should_stop)
        session = self._slot(request).session
        prediction = session.refine(progress, should_stop)
        return Result(prediction, self.load(request.model), session.timings)

    def unrefine(self, request: Request, should_stop: Callable[[], bool]) -> Result:
        """The mask that the request asks for, as it was before ``refine``."""
        self.run(request, should_stop)
        session = self._slot(request).session
        return Result(session.unrefine(), self.load(request.model), session.timings)

    def peek(self, request: Request, should_stop: Callable[[], bool]) -> Prediction | None:
        """The mask that the request would give; the sessions stay as they are.

        None before the model is loaded, or when the object is not the session's.

        Raises:
            ImageRefusedError: The image cannot be opened.
            Cancelled: ``should_stop`` said so.
        """
        if self._predictor is None or self._model != request.model or should_stop():
            return None
        slot = self._slot(request)
        session = slot.session
        if session.postprocessing != request.postprocessing:
            session.postprocessing = request.postprocessing
        if slot.started == (request.object_id, request.field_of_view):
            return session.peek(request.clicks, None, should_stop)
        if len(request.clicks) == 1 and request.start is None:
            return session.peek(request.clicks, request.field_of_view, should_stop)
        return None

    def _slot(self, request: Request) -> _Slot:
        image = request.image
        key = (id(image.data), image.plane, image.view)
        slot = self._slots.pop(key, None)
        if slot is None:
            try:
                session = self._new_session(image, self._predictor, request.field_of_view)
            except (RasterError, ValueError, TypeError) as error:
                raise ImageRefusedError(f"{image.name}: {error}") from error
            slot = _Slot(image, session)
        self._slots[key] = slot
        while len(self._slots) > _MAX_SESSIONS:
            self._slots.popitem(last=False)
        return slot

    def _start(self, slot: _Slot, request: Request) -> None:
        slot.started = None
        slot.session.reset(request.field_of_view)
        if request.start is not None:
            slot.session.start_from(request.start.mask, request.start.window)
        slot.started = (request.object_id, request.field_of_view)


def load_predictor(model: str) -> PredictorLike:
    """The model of the zoo; imports torch, so only in the worker."""
    from napari_edgeflow.inference.threads import wait_politely

    wait_politely()
    from napari_edgeflow.inference.predictor import Predictor

    predictor = Predictor.from_zoo(model)
    predictor.warm_up()
    return predictor


def open_session(image: PlaneImage, predictor: Any, field_of_view: float | None) -> SessionLike:
    """A session on a plane of a layer, with the bands that were chosen for it."""
    from napari_edgeflow.inference.session import Session

    raster, view = open_plane(image)
    bands, stretch = (None, None) if view is None else (view.bands, view.stretch)
    return Session(raster, predictor, field_of_view, bands=bands, stretch=stretch)
