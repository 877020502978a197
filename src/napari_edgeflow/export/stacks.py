"""Where a plane lies in its stack, in the words of other formats."""

from __future__ import annotations

from napari_edgeflow.annotation.objects import AnnotationSet, PlaneIndex

_NAMES = {1: ("z",), 2: ("t", "z")}


def stack_position(plane: PlaneIndex) -> dict[str, int]:
    """Position from 0 along each axis of the stack; empty for a plain image.

    A stack with one such axis calls it z, with two t and z, as napari shows them; with more they
    are ``axis_0``, ``axis_1``…
    """
    positions = [at for at in plane if at is not None]
    names = _NAMES.get(len(positions)) or tuple(f"axis_{n}" for n in range(len(positions)))
    return dict(zip(names, positions, strict=True))


def plane_of(annotated: AnnotationSet) -> PlaneIndex:
    """The plane that the objects lie on; () when there is none."""
    return annotated.objects[0].plane if annotated.objects else ()
