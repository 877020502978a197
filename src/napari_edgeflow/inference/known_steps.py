"""Steps that are known, and those that are still to be computed."""

from __future__ import annotations

from collections import OrderedDict

from napari_edgeflow._types import Click
from napari_edgeflow.inference.predictor import SupportsPredict
from napari_edgeflow.inference.steps import ComputesSteps, Run, Seen, Start, Step

KEPT_STEPS = 128

Key = tuple[tuple[Click, ...], float | None, int]
"""Clicks, field of view and the mask to start from: all that decides a step."""


class KnownSteps:
    """The steps of one object, by the clicks that led to them; the oldest are dropped.

    Args:
        computer: Computes what is not known.
        predictor: Says whether the model can be told of a mask to start from; else a click in
            its middle stands for it.
    """

    def __init__(self, computer: ComputesSteps, predictor: SupportsPredict) -> None:
        self._computer = computer
        self._predictor = predictor
        self._steps: OrderedDict[Key, Step] = OrderedDict()
        self._peeked: tuple[Key, Step, Seen | None] | None = None
        self._field_of_view: float | None = None
        self.start: Start | None = None
        self.seen: Seen | None = None

    def begin(self, field_of_view: float | None, start: Start | None = None) -> None:
        """Another object: forget the steps, but not what was peeked at for it."""
        if self._peeked is not None and self._peeked[0][2] != id(None):
            self._peeked = None
        self._steps.clear()
        self._field_of_view, self.start = field_of_view, start

    def key(self, clicks: tuple[Click, ...]) -> Key:
        """What names the step after these clicks."""
        return clicks, self._field_of_view, id(self.start)

    def get(self, clicks: tuple[Click, ...]) -> Step | None:
        """The step after these clicks, None when it is not known."""
        return self._steps.get(self.key(clicks))

    def compute(self, clicks: tuple[Click, ...], run: Run) -> None:
        """Make sure that the steps of all prefixes of ``clicks`` needed are known.

        Raises:
            Cancelled: The run was stopped; what is known stays.
        """
        if self._peeked is not None and self._peeked[0] == self.key(clicks):
            key, step, run.seen = self._peeked
            self._steps[key] = step
        known = len(clicks)
        while known > 0 and self.key(clicks[:known]) not in self._steps:
            known -= 1
        for length in range(known + 1, len(clicks) + 1):
            before = self.get(clicks[: length - 1])
            self._steps[self.key(clicks[:length])] = self._next(before, clicks[:length], run)
            while len(self._steps) > KEPT_STEPS:
                self._steps.popitem(last=False)
        self.seen = run.seen or self.seen

    def peek(self, clicks: tuple[Click, ...], field_of_view: float | None, run: Run) -> Step | None:
        """The step that these clicks would give; ``compute`` then has it for nothing.

        Args:
            clicks: Those of the object and one more, or the first one of the next object.
            field_of_view: Of the next object; None: the present object is meant.
            run: The request.

        Returns:
            None where the step before the last click is not known.

        Raises:
            Cancelled: The run was stopped.
        """
        before = self.get(clicks[:-1])
        if field_of_view is not None:
            key: Key = clicks[-1:], field_of_view, id(None)
            step = self._computer.first(clicks[-1], field_of_view, run)
        elif before is None and (len(clicks) > 1 or self.start is None):
            return None
        else:
            key = self.key(clicks)
            step = self._steps.get(key) or self._next(before, clicks, run)
        self._peeked = key, step, run.seen
        return step

    def _next(self, before: Step | None, clicks: tuple[Click, ...], run: Run) -> Step:
        if self.start is not None and not self._predictor.takes_prior:
            clicks = (self.start.innermost(), *clicks)  # all that such a model can know of it
        if before is not None:
            return self._computer.later(before, clicks, run)
        if self.start is not None:
            return self._computer.first_correction(self.start, clicks, run)
        return self._computer.first(clicks[0], self._field_of_view, run)
