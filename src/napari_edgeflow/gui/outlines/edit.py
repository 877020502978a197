"""What is being edited as polygons: outlines of objects, and each edit as a new value of them.

Nothing here needs Qt or napari. An edit that cannot be done raises and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import shapely

from napari_edgeflow.annotation.polygon_commands import Outline
from napari_edgeflow.vector.coverage import simplify_coverage
from napari_edgeflow.vector.edit import cut_away, mend, merge, problem_of, split
from napari_edgeflow.vector.polygons import Polygon, Ring, polygons_from_shapely, simplify
from napari_edgeflow.vector.right_angles import square_up

MAX_CORNERS = 2000
"""More than this make dragging slow; an object that has more is opened with a higher tolerance."""
TOLERANCES_PX = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)

RingKey = tuple[int, int, int]
"""Outline, polygon of it, ring of that (0: the exterior)."""


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """One state of the edit.

    Attributes:
        outlines: As they are shown.
        base: What the tolerance makes simpler: the outlines after the last edit by hand.
        tolerance_px: The tolerance that made the outlines from the base.
    """

    outlines: tuple[Outline, ...]
    base: tuple[Outline, ...]
    tolerance_px: float = 0.0

    @property
    def n_corners(self) -> int:
        """Corners of all rings together."""
        return sum(p.n_vertices for outline in self.outlines for p in outline.polygons)

    @property
    def keys(self) -> tuple[RingKey, ...]:
        """Where each ring of ``rings`` belongs."""
        return tuple(
            (i, j, k)
            for i, outline in enumerate(self.outlines)
            for j, polygon in enumerate(outline.polygons)
            for k in range(len(polygon.rings))
        )

    @property
    def rings(self) -> tuple[Ring, ...]:
        """All rings, outline by outline, polygon by polygon, the exterior first."""
        return tuple(
            ring for one in self.outlines for polygon in one.polygons for ring in polygon.rings
        )


def with_tolerance(base: Sequence[Outline], tolerance_px: float) -> Sketch:
    """The outlines made simpler; those of neighbours keep their common edges.

    Raises:
        ValueError: The tolerance is negative or not finite.
    """
    kept = tuple(base)
    if tolerance_px == 0:
        return Sketch(kept, kept)
    if len(kept) > 1:
        shapes = [
            shapely.MultiPolygon([polygon.to_shapely() for polygon in outline.polygons])
            for outline in kept
        ]
        if shapely.coverage_is_valid(shapes):
            simple = [polygons_from_shapely(s) for s in simplify_coverage(shapes, tolerance_px)]
            outlines = [replace(one, polygons=new) for one, new in zip(kept, simple, strict=True)]
            return Sketch(tuple(outlines), kept, tolerance_px)
    simpler = [replace(one, polygons=simplify(_valid(one), tolerance_px)) for one in kept]
    return Sketch(tuple(simpler), kept, tolerance_px)


def open_sketch(fine: Sequence[Outline], tolerance_px: float) -> Sketch:
    """The first state, with a tolerance from the given one up that leaves it quick to edit."""
    steps = [tolerance_px, *(step for step in TOLERANCES_PX if step > tolerance_px)]
    for step in steps:
        sketch = with_tolerance(fine, step)
        if sketch.n_corners <= MAX_CORNERS:
            break
    return sketch


def with_rings(sketch: Sketch, rings: Sequence[Ring]) -> Sketch:
    """The sketch with other corners; rings left with fewer than three of them are gone.

    Args:
        sketch: Before.
        rings: One for each of ``sketch.keys``.

    Raises:
        ValueError: Nothing would be left.
    """
    polygons: dict[tuple[int, int], list[Ring]] = {}
    for (outline, polygon, number), ring in zip(sketch.keys, rings, strict=True):
        if number == 0 and len(ring) >= 3:
            polygons[outline, polygon] = [ring]
        elif (outline, polygon) in polygons and len(ring) >= 3:
            polygons[outline, polygon].append(ring)
    found: list[list[Polygon]] = [[] for _ in sketch.outlines]
    for (outline, _), (exterior, *holes) in polygons.items():
        found[outline].append(Polygon(exterior, tuple(holes)))
    return _edited(
        [replace(one, polygons=tuple(new)) for one, new in zip(sketch.outlines, found, strict=True)]
    )


def split_by(sketch: Sketch, line_yx: npt.NDArray[np.float64]) -> Sketch:
    """The outlines that the line parts, in two or more; the largest part stays the object.

    Raises:
        ValueError: The line parts none of them.
    """
    outlines: list[Outline] = []
    problem: ValueError | None = None
    for outline in sketch.outlines:
        whole: list[Polygon] = []
        pieces: list[Polygon] = []
        for polygon in _valid(outline):
            try:
                largest, *others = split(polygon, line_yx)
            except ValueError as error:
                problem, largest, others = error, polygon, []
            whole.append(largest)
            pieces += others
        outlines.append(replace(outline, polygons=tuple(whole)))
        outlines += [Outline(outline.label, (piece,), is_new=True) for piece in pieces]
    if len(outlines) == len(sketch.outlines) and problem is not None:
        raise problem
    return _edited(outlines)


def separate(sketch: Sketch) -> Sketch:
    """Each polygon an object of its own; the largest of an outline stays the object.

    Raises:
        ValueError: All are in one piece already.
    """
    outlines: list[Outline] = []
    for outline in sketch.outlines:
        largest, *others = sorted(outline.polygons, key=lambda polygon: -polygon.area)
        outlines.append(replace(outline, polygons=(largest,)))
        outlines += [Outline(outline.label, (part,), is_new=True) for part in others]
    if len(outlines) == len(sketch.outlines):
        raise ValueError(
            "expected an object of several parts, got one in one piece; split it by a line"
        )
    return _edited(outlines)


def merge_all(sketch: Sketch) -> Sketch:
    """All outlines as one, under the id of the first.

    Raises:
        ValueError: There is only one.
    """
    if len(sketch.outlines) < 2:
        raise ValueError(
            "expected two or more outlines to merge, got one; select the objects before editing"
        )
    first = next((one for one in sketch.outlines if not one.is_new), sketch.outlines[0])
    polygons = merge(polygon for outline in sketch.outlines for polygon in _valid(outline))
    return _edited([replace(first, polygons=polygons)])


def cut_out(sketch: Sketch, region: Polygon) -> Sketch:
    """The outlines without what lies in the region.

    Raises:
        ValueError: Nothing would be left, or nothing lies in it.
    """
    outlines = [
        replace(outline, polygons=cut_away(_valid(outline), region)) for outline in sketch.outlines
    ]
    if all(new.area == old.area for new, old in zip(outlines, sketch.outlines, strict=True)):
        raise ValueError("expected a region over the object, got one beside it")
    return _edited(outlines)


def add_area(sketch: Sketch, region: Polygon) -> Sketch:
    """The region joined to the outline that it overlaps most, else to the nearest.

    Raises:
        ValueError: The region has no area.
    """
    added = mend(region)
    if not added:
        raise ValueError("expected a region with an area, got none")
    new = shapely.union_all([polygon.to_shapely() for polygon in added])

    def closeness(outline: Outline) -> tuple[float, float]:
        shape = shapely.union_all([polygon.to_shapely() for polygon in _valid(outline)])
        return float(shapely.intersection(shape, new).area), -float(shapely.distance(shape, new))

    best = max(sketch.outlines, key=closeness)
    grown = replace(best, polygons=merge([*_valid(best), *added]))
    return _edited([grown if one is best else one for one in sketch.outlines])


def square_all(sketch: Sketch, min_edge_px: float) -> Sketch:
    """Right angles for all polygons that are nearly so, as of buildings.

    Raises:
        ValueError: None is close to a right-angled one.
    """
    outlines, n_changed = [], 0
    for outline in sketch.outlines:
        squared = [square_up(polygon, min_edge_px=min_edge_px) for polygon in _valid(outline)]
        n_changed += sum(one.is_changed for one in squared)
        outlines.append(replace(outline, polygons=tuple(one.polygon for one in squared)))
    if not n_changed:
        raise ValueError(
            "expected an outline close to one with right angles, got none; nothing was changed"
        )
    return _edited(outlines)


def faults(sketch: Sketch) -> bool:
    """True when an outline crosses itself; applying mends it."""
    return any(problem_of(p) for outline in sketch.outlines for p in outline.polygons)


def _edited(outlines: Sequence[Outline]) -> Sketch:
    left = tuple(outline for outline in outlines if outline.polygons)
    if not left:
        raise ValueError("expected something to be left; delete the object instead")
    kept = {outline.label for outline in left if not outline.is_new}
    named = []
    for outline in left:  # an object that is gone but for a part split from it lives on in that
        named.append(outline if outline.label in kept else replace(outline, is_new=False))
        kept.add(outline.label)
    return Sketch(tuple(named), tuple(named))


def _valid(outline: Outline) -> tuple[Polygon, ...]:
    return tuple(valid for polygon in outline.polygons for valid in mend(polygon))
