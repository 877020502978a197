"""One export under way: its options, who hears how far it is, who may stop it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from napari_edgeflow.errors import Cancelled
from napari_edgeflow.export.options import ExportOption, OptionValue

Progress = Callable[[float], None]
ShouldStop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class ExportRun:
    """What a writer is given beside the annotations.

    Attributes:
        options: By name; those that are not there have their defaults.
        progress: Called with the share done, 0…1.
        should_stop: Asked between pieces of work; True ends it with ``Cancelled``.
    """

    options: Mapping[str, OptionValue] = field(default_factory=dict)
    progress: Progress | None = None
    should_stop: ShouldStop | None = None

    def number(self, option: ExportOption) -> float:
        """The value of an option that is a number."""
        return float(self._value(option))

    def text(self, option: ExportOption) -> str:
        """The value of an option that is a word."""
        return str(self._value(option))

    def flag(self, option: ExportOption) -> bool:
        """The value of an option that is yes or no."""
        return self._value(option) is True

    def count(self, done: int, total: int) -> None:
        """Note that so many of so many pieces are done.

        Raises:
            Cancelled: The user wants no more of it.
        """
        self.check()
        if self.progress is not None:
            self.progress(done / total if total else 1.0)

    def check(self) -> None:
        """Nothing, unless the work is to stop.

        Raises:
            Cancelled: It is.
        """
        if self.should_stop is not None and self.should_stop():
            raise Cancelled("nothing was exported: the export was cancelled")

    def part(self, first: float, last: float) -> ExportRun:
        """The same for a part of the work, which takes it from one share to another."""
        report = self.progress
        if report is None:
            return self
        return replace(self, progress=lambda share: report(first + share * (last - first)))

    def _value(self, option: ExportOption) -> OptionValue:
        return self.options.get(option.name, option.default)


PLAIN_RUN = ExportRun()
"""All defaults; nobody listens, nobody stops it."""
