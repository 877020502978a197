"""The user's clicks in the order in which they were made.

Points layers only know rows that shift when one is deleted; the log gives every click an id
and is the truth from which sessions and layers are brought up to date.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from napari_edgeflow._types import Click, ClickKind
from napari_edgeflow.gui.planes import Plane

Clicks = tuple["LoggedClick", ...]
KINDS: tuple[ClickKind, ...] = ("positive", "negative", "boundary")


@dataclass(frozen=True, slots=True)
class LoggedClick:
    """One click.

    Attributes:
        id: Grows with the order of clicking; never used twice in a log.
        kind: On the object, beside it, or on its boundary.
        plane: The plane that was clicked.
        position: Where, in the image layer's level-0 data coordinates, all axes.
        field_of_view: Side in level-0 pixels of what the user saw when clicking.
    """

    id: int
    kind: ClickKind
    plane: Plane
    position: tuple[float, ...]
    field_of_view: float

    @property
    def is_positive(self) -> bool:
        """True on the object."""
        return self.kind == "positive"

    @property
    def click(self) -> Click:
        """The click as sessions know it."""
        y, x = self.plane.yx(self.position)
        return Click.of_kind(y, x, self.kind)


class ClickLog:
    """Clicks of the active objects, at most one object for each plane."""

    def __init__(self) -> None:
        self._clicks: dict[int, LoggedClick] = {}
        self._rows: dict[ClickKind, list[int]] = {kind: [] for kind in KINDS}
        self._next_id = 1

    def on_plane(self, plane: Plane) -> Clicks:
        """Clicks of the object on this plane, first click first."""
        return tuple(c for _, c in sorted(self._clicks.items()) if c.plane == plane)

    def rows(self, kind: ClickKind) -> Clicks:
        """Clicks of one kind in the order of the rows of their Points layer."""
        return tuple(self._clicks[id_] for id_ in self._rows[kind])

    @property
    def planes(self) -> tuple[Plane, ...]:
        """Planes that have clicks, the one clicked last at the end."""
        return tuple(dict.fromkeys(c.plane for _, c in sorted(self._clicks.items())))

    def add(
        self, kind: ClickKind, plane: Plane, position: Sequence[float], field_of_view: float
    ) -> LoggedClick:
        """The new click, appended to the rows of its kind."""
        place = tuple(map(float, position))
        click = LoggedClick(self._next_id, kind, plane, place, field_of_view)
        self._next_id += 1
        self._clicks[click.id] = click
        self._rows[kind].append(click.id)
        return click

    def remove_rows(self, kind: ClickKind, rows: Iterable[int]) -> tuple[Plane, ...]:
        """Planes that lost clicks when these rows of a Points layer were deleted."""
        ids = [self._rows[kind][row] for row in rows]
        planes = tuple({self._clicks[id_].plane for id_ in ids})
        for id_ in ids:
            del self._clicks[id_]
            self._rows[kind].remove(id_)
        return planes

    def move_rows(
        self, kind: ClickKind, moves: Iterable[tuple[int, Sequence[float]]]
    ) -> tuple[Plane, ...]:
        """Planes whose clicks moved: pairs of a row and its new position."""
        moved = []
        for row, position in moves:
            old = self._clicks[self._rows[kind][row]]
            new = replace(old, position=old.plane.position(*old.plane.yx(position)))
            if new != old:
                moved.append(new)
        planes = tuple({click.plane for click in moved})
        self._clicks.update({click.id: click for click in moved})
        return planes

    def put(self, plane: Plane, clicks: Clicks) -> None:
        """Give this plane these clicks, and no others."""
        kept = {id_: c for id_, c in self._clicks.items() if c.plane != plane}
        self._clicks = kept | {click.id: click for click in clicks}
        for kind in KINDS:
            rows = [id_ for id_ in self._rows[kind] if id_ in self._clicks]
            new = [c.id for c in clicks if c.kind == kind and c.id not in rows]
            self._rows[kind] = rows + new

    def replace(self, plane: Plane, clicks: Sequence[Click], field_of_view: float) -> None:
        """Give this plane these clicks; up to the first that differs they stay the same entries.

        All after it are new entries, as ids tell the order of the clicks.
        """
        old = self.on_plane(plane)
        pairs = zip(old, clicks, strict=False)
        new = [entry for entry, _ in takewhile(lambda pair: pair[0].click == pair[1], pairs)]
        for click in clicks[len(new) :]:
            place = plane.position(click.y, click.x)
            new.append(LoggedClick(self._next_id, click.kind, plane, place, field_of_view))
            self._next_id += 1
        self.put(plane, tuple(new))
