"""Where a published data set comes from, for the message when it is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_edgeflow.errors import DatasetError

_NAMED = 5
"""Files that a message names before it only counts them."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A published data set.

    Attributes:
        title: Its name for people.
        page: The official page.
        unpack: What to download there, and what must then lie in the folder.
    """

    title: str
    page: str
    unpack: str

    def missing(self, path: Path, wanted: Sequence[str]) -> DatasetError:
        """The error to raise when ``wanted`` parts are not in ``path``."""
        state = f"lacks {', '.join(wanted)}" if path.is_dir() else "is not a folder"
        return DatasetError(
            f"expected {self.title} in {path}, which {state}. "
            f"Get it from {self.page}: {self.unpack}"
        )


def name_some(names: Sequence[str]) -> str:
    """The first few of ``names``, and how many there are when that is not all."""
    some = ", ".join(names[:_NAMED])
    return some if len(names) <= _NAMED else f"{some} … ({len(names)} in all)"


def join_problems(what: str, problems: Sequence[str]) -> DatasetError:
    """One error of all ``problems``, of which the first 20 are written out."""
    if len(problems) == 1:
        return DatasetError(f"{what}: {problems[0]}")
    lines = [f"  - {problem}" for problem in problems[:20]]
    if len(problems) > 20:
        lines.append(f"  - and {len(problems) - 20} more")
    return DatasetError("\n".join([f"{what}: {len(problems)} problems", *lines]))


def find_folder(path: Path, wanted: Sequence[str], below: Sequence[str] = ()) -> Path | None:
    """``path`` or the first of its sub-folders ``below`` that holds all of ``wanted``."""
    places = (path, *(path / name for name in below))
    return next((p for p in places if all((p / name).exists() for name in wanted)), None)
