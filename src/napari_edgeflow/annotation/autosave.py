"""Where the steps of an image are saved, what is found there, and a log that begins by itself.

A journal lies beside the image (``IMAGE.edgeflow``), or in a folder that the user chose; images
without a file, and those in folders that cannot be written to, have theirs in the user's data
folder, like the samples that come with the package. What was there before is never written over and
never deleted.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from napari_edgeflow.annotation.history import read_outline
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.journal_file import MAGIC, scan
from napari_edgeflow.annotation.objects import ImageInfo
from napari_edgeflow.annotation.records import MemoryLog, Record, RecordLog
from napari_edgeflow.errors import JournalError, JournalLockedError

SUFFIX = ".edgeflow"
FOLDER_VARIABLE = "NAPARI_EDGEFLOW_PROJECTS"
"""Environment variable that names another folder for what has no place beside its image."""
_PACKAGE = Path(__file__).parents[1]


def spare_folder() -> Path:
    """The folder in the user's data; it need not exist yet."""
    chosen = os.environ.get(FOLDER_VARIABLE, "")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_data_path

    return user_data_path("napari-edgeflow", appauthor=False) / "projects"


def journal_places(
    image: ImageInfo, fingerprint: str, part: str = "", folder: Path | None = None
) -> tuple[Path, ...]:
    """Where the journal of an image may lie, the best place first.

    Args:
        image: Name and path.
        fingerprint: Of its pixels: tells images without a file from each other.
        part: Which of several images of one file; empty for the only one.
        folder: Chosen by the user, instead of the one beside the image.
    """
    rest = f".{_safe(part)}" if part else ""
    if image.path is None:
        own = f"{_safe(image.stem)}-{fingerprint[:12]}{SUFFIX}"
        return (*(() if folder is None else (folder / own,)), spare_folder() / own)
    path = Path(os.path.abspath(image.path))  # noqa: PTH100 - links stay as the user named them
    mark = hashlib.sha256(str(path).encode()).hexdigest()[:12]
    elsewhere = f"{_safe(path.name)}{rest}-{mark}{SUFFIX}"
    spare = spare_folder() / elsewhere
    if folder is not None:
        return folder / elsewhere, spare
    if path.is_relative_to(_PACKAGE):
        return (spare,)
    return path.with_name(f"{path.name}{rest}{SUFFIX}"), spare


@dataclass(frozen=True, slots=True)
class Found:
    """A journal that was there before.

    Attributes:
        path: The file.
        n_objects: Finished objects in it.
        n_drafts: Objects being clicked.
        saved: When it was written last.
        refusal: Why it cannot be resumed, in words; empty when it can.
    """

    path: Path
    n_objects: int = 0
    n_drafts: int = 0
    saved: datetime | None = None
    refusal: str = ""

    def __str__(self) -> str:
        """One line for the user."""
        many = f"{self.n_objects} object{'s' * (self.n_objects != 1)}"
        when = f" of {self.saved:%d %B %Y, %H:%M}" if self.saved else ""
        return f"{many}{when} ({self.path.name})"


def find_journal(places: Sequence[Path], image: ImageInfo, fingerprint: str) -> Found | None:
    """The journal of an image that was written last, with something in it; None without one.

    One that belongs to other pixels is found only when there is no better one.
    """
    found = [_look(path, image, fingerprint) for place in places for path in _numbered(place)]
    known = [one for one in found if one is not None]
    known.sort(key=lambda one: (not one.refusal, one.saved or datetime.min))
    return known[-1] if known else None


def _look(path: Path, image: ImageInfo, fingerprint: str) -> Found | None:
    """What a journal holds; None when it holds nothing."""
    try:
        saved = datetime.fromtimestamp(path.stat().st_mtime)
        if path.stat().st_size <= len(MAGIC):
            return None
        theirs, state, mark, n_steps = read_outline(scan(path))
    except OSError:
        return None
    except JournalError as error:
        return Found(path, refusal=f"{path.name} cannot be read: {error}")
    refusal = ""
    if theirs.shape != image.shape:
        refusal = (
            f"{path.name} belongs to an image of {theirs.shape[0]} × {theirs.shape[1]} px, and "
            f"this one has {image.shape[0]} × {image.shape[1]} px"
        )
    elif mark and fingerprint and mark != fingerprint:
        refusal = f"{path.name} belongs to other pixels than this image has now"
    if not (state.objects or n_steps or refusal):
        return None
    return Found(path, len(state.objects), len(state.drafts), saved, refusal)


def _numbered(place: Path) -> Iterator[Path]:
    """``NAME.edgeflow``, and ``NAME.2.edgeflow`` and so on where there are any."""
    stem = place.name.removesuffix(SUFFIX)
    pattern = re.compile(rf"{re.escape(stem)}(\.\d+)?{re.escape(SUFFIX)}")
    try:
        names = [path for path in place.parent.iterdir() if pattern.fullmatch(path.name)]
    except OSError:
        return
    yield from sorted(names)


def set_aside(path: Path) -> Path:
    """Rename a journal that is not to be gone on with; returns its new name.

    Raises:
        JournalError: It cannot be renamed.
    """
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    stem = path.name.removesuffix(SUFFIX)
    aside = path.with_name(f"{stem}.{stamp}{SUFFIX}.old")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{stem}.{stamp}-{number}{SUFFIX}.old")
    try:
        path.rename(aside)
    except OSError as error:
        raise JournalError(
            f"expected to rename {path}, but the system refused ({error.strerror or error}); "
            "choose another folder for autosave"
        ) from error
    return aside


def open_free(place: Path) -> Journal:
    """A new journal in this place; under the next free number where there is one already.

    Raises:
        JournalError: The folder cannot be written to.
    """
    stem = place.name.removesuffix(SUFFIX)
    number = 1
    while True:
        path = place if number == 1 else place.with_name(f"{stem}.{number}{SUFFIX}")
        number += 1
        if path.exists() and path.stat().st_size > len(MAGIC):
            continue
        try:
            journal = Journal.open(path)
        except JournalLockedError:
            continue
        if len(journal) == 0:
            return journal
        journal.close()


class AutosaveLog:
    """A log that becomes a journal with the first step after its beginning.

    So an image that was only looked at leaves no file. While the disk takes nothing, records wait
    in memory and go to disk, in their order, as soon as it does: nothing is half-written, and
    ``problem`` says what is not saved. Where no place can be written to at all, steps are kept in
    memory, and the notes say so.

    Attributes:
        place: The journal; None before the first step and when there is none.
        notes: What the user should know; whoever shows them empties the list.

    Args:
        places: Where to, the best place first.
    """

    def __init__(self, places: Sequence[Path]) -> None:
        self.place: Path | None = None
        self.notes: list[str] = []
        self._places = tuple(places)
        self._log: RecordLog = MemoryLog()
        self._n_kept = self._n_begun = 0
        self._waiting: list[Record] = []
        self._why = ""
        self._is_begun = self._is_open = False

    @classmethod
    def resumed(cls, journal: Journal) -> AutosaveLog:
        """The log of a journal that was opened."""
        made = cls(())
        made._log, made.place = journal, journal.path
        made._is_begun = made._is_open = True
        return made

    @property
    def journal(self) -> Journal | None:
        """The journal; None while there is none."""
        return self._log if isinstance(self._log, Journal) else None

    @property
    def problem(self) -> str:
        """What is not on disk though it should be, and why, in words; empty when all is."""
        if not self._why:
            return ""
        n = len(self._waiting) or self._n_kept - self._n_begun
        return f"{n} step{'s' * (n != 1)} in memory only. {self._why}"

    def append(self, record: Record) -> int:
        """The record's number; it waits for ``commit``."""
        if self._is_begun and not self._is_open:
            self._open()
        if isinstance(self._log, Journal):
            self._waiting.append(record)
            return len(self._log) + len(self._waiting) - 1
        self._n_kept += 1
        self._n_begun += not self._is_begun
        return self._log.append(record)

    def commit(self) -> None:
        """Nothing; records are on disk when this returns, or ``problem`` says why not."""
        self._is_begun = True
        self._save()

    def save(self) -> None:
        """Try again to bring what is in memory to disk; ``problem`` says how it went."""
        if self._is_begun and not self._is_open and self._n_kept > self._n_begun:
            self._open()
        self._save()

    def read(self, number: int) -> Record:
        """A record that was appended."""
        if isinstance(self._log, Journal) and number >= len(self._log):
            return self._waiting[number - len(self._log)]
        return self._log.read(number)

    def close(self) -> None:
        """Let go of the file."""
        if isinstance(self._log, Journal):
            self._log.close()

    def _save(self) -> None:
        """Write what waits; what cannot be written goes on waiting."""
        journal = self.journal
        if journal is None or not self._waiting:
            return
        before, why = len(journal), ""
        try:
            for record in self._waiting:
                journal.append(record)
        except JournalError as error:
            why = str(error)
        try:
            journal.commit()
        except JournalError as error:  # the journal took back what is not on disk
            why = str(error)
        del self._waiting[: len(journal) - before]
        self._say(why)

    def _say(self, why: str) -> None:
        """Note when saving begins to fail, and when it goes on."""
        if why and not self._why:
            self.notes.append(
                f"{why}. You can go on: your steps are kept in memory, and saved as soon as "
                "possible"
            )
        elif self._why and not why and self.place is not None:
            self.notes.append(f"All steps are saved again, in {self.place.name}")
        self._why = why

    def _open(self) -> None:
        """Move from memory to the first place that takes it; again later where disks are full."""
        self._is_open = True
        kept = [self._log.read(number) for number in range(self._n_kept)]
        problems: list[JournalError] = []
        for place in self._places:
            journal = _try(lambda place=place: _begin(place, kept), problems)  # type: ignore[misc]
            if journal is None:
                continue
            self._log, self.place = journal, journal.path
            if problems:
                self.notes.append(f"{problems[0]}. Your steps are saved in {journal.path} instead.")
            self._say("")
            return
        if any(_is_full(problem) for problem in problems):
            self._is_open = False
            self._say(str(problems[0]))
        elif problems:
            self.notes.append(
                f"{problems[0]}. Your steps are kept in memory only: export your objects before "
                "closing, or choose another folder for autosave."
            )


def _is_full(error: JournalError) -> bool:
    """True when the disk, or the user's share of it, had no room."""
    cause = error.__cause__
    full = errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)
    return isinstance(cause, OSError) and cause.errno in full


def _begin(place: Path, begun: Sequence[Record]) -> Journal:
    """A journal in this place that holds the beginning, on disk."""
    if place.parent == spare_folder():
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JournalError(f"{place.parent} cannot be made: {error}") from error
    journal = open_free(place)
    try:
        for record in begun:
            journal.append(record)
        journal.commit()
    except BaseException:
        journal.close()
        journal.path.unlink(missing_ok=True)
        raise
    return journal


def _try(attempt: Callable[[], Journal], problems: list[JournalError]) -> Journal | None:
    try:
        return attempt()
    except JournalError as error:
        problems.append(error)
        return None


def _safe(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^\w.+-]+", "_", name).strip("._") or "image"
