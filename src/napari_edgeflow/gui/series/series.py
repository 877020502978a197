"""Image after image: which is open, which are done; the next one is read while this one is shown.

Nothing is read on the Qt thread. An image is left only when all its steps are on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error, show_info, show_warning
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.errors import AnnotationError
from napari_edgeflow.gui.messages import in_words
from napari_edgeflow.gui.series.files import Book, Mark, list_images, read_book, write_book
from napari_edgeflow.gui.series.load import MEMORY_BYTES, LoadedImage, load_image
from napari_edgeflow.gui.series.switch import RETRY_MS, ImageSwitch
from napari_edgeflow.gui.worker import Worker


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One image of a series: a file, or a layer that is in the viewer already.

    Attributes:
        name: Its key in the book of marks.
        path: The file; None for a layer.
        layer: The layer; None for a file.
    """

    name: str
    path: Path | None = None
    layer: Any = None


class Series:
    """The images of a folder, or layers, one after the other.

    Args:
        viewer: The napari viewer.
        controller: Of the window.
        autosave_folder: Where marks go when the folder is read-only.
    """

    changed = Signal()
    """Images, marks, the place in the series, or whether one is being read."""

    def __init__(self, viewer: Any, controller: Any, autosave_folder: Callable[[], Path]) -> None:
        self.entries: tuple[Entry, ...] = ()
        self.book = Book()
        self.folder: Path | None = None
        self.index: int | None = None
        self.problem = ""
        self.read: Callable[[Path], LoadedImage] = load_image
        self._viewer = viewer
        self._spare = autosave_folder
        self._switch = ImageSwitch(viewer, controller)
        self._worker, self._writer = Worker(), Worker()
        self._wanted: int | None = None
        self._step = 1
        self._cache: dict[str, LoadedImage] = {}
        self._n_asked = 0
        self._is_closed = False

    # --- what a panel shows ------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """Of the images, in order."""
        return [entry.name for entry in self.entries]

    @property
    def current(self) -> Entry | None:
        """The image that is open."""
        return None if self.index is None else self.entries[self.index]

    @property
    def is_loading(self) -> bool:
        """True while the next image is on its way."""
        return self._wanted is not None or self._switch.is_switching

    @property
    def is_saving(self) -> bool:
        """True while marks are being written."""
        return self._writer.is_busy

    @property
    def workers(self) -> tuple[Worker, Worker]:
        """Of reading and of writing marks, for tests and for closing."""
        return self._worker, self._writer

    @property
    def progress(self) -> str:
        """``12 of 40 done, 2 skipped``; empty without a series."""
        return self.book.progress(self.names) if self.entries else ""

    def mark_of(self, index: int) -> Mark:
        """The mark of an image."""
        return self.book.mark_of(self.entries[index].name)

    # --- opening -----------------------------------------------------------------------------

    def open_folder(self, folder: Path, pattern: str = "") -> None:
        """Begin or go on with the images of a folder: at the image that was open last."""

        def find(_stop: Callable[[], bool]) -> tuple[list[Path], Book]:
            found = list_images(folder, pattern)
            if not found:
                raise AnnotationError(
                    f"expected images in {folder}, got none that fit {pattern or 'any kind'!r}; "
                    "choose another folder or filter"
                )
            return found, read_book(folder, self._spare())

        self._worker.submit("folder", find, partial(self._on_folder, folder), self._on_failed)
        self.changed.emit()

    def open_layers(self, layers: Sequence[Any]) -> None:
        """Go through Image layers that are in the viewer; marks last as long as the series."""
        if not layers:
            show_warning("Expected Image layers for a series, got none: open images first.")
            return
        names = [str(layer.name) for layer in layers]
        entries = [
            Entry(name if names.count(name) == 1 else f"{name} ({number})", layer=layer)
            for number, (name, layer) in enumerate(zip(names, layers, strict=True), start=1)
        ]
        self._begin(entries, Book(), None)
        self.go(0)

    def _on_folder(self, folder: Path, result: tuple[list[Path], Book]) -> None:
        found, book = result
        entries = [Entry(path.relative_to(folder).as_posix(), path) for path in found]
        self._begin(entries, book, folder)
        names = self.names
        first = names.index(book.last) if book.last in names else book.next_todo(names, -1)
        self.go(first or 0)

    def _begin(self, entries: Sequence[Entry], book: Book, folder: Path | None) -> None:
        self._switch.finish()
        self._worker.cancel()
        self._cache.clear()
        self.entries, self.book, self.folder = tuple(entries), book, folder
        self.index = self._wanted = None
        self.problem = ""
        self.changed.emit()

    # --- moving ------------------------------------------------------------------------------

    def go(self, index: int) -> None:
        """Open an image, once the one before is safe on disk; returns at once."""
        if not 0 <= index < len(self.entries):
            end = "last" if index > 0 else "first"
            show_info(f"This is the {end} image of the series.")
            return
        if index in (self.index, self._wanted):
            return
        self._step = -1 if self.index is not None and index < self.index else 1
        self._wanted = index
        self._n_asked += 1
        entry = self.entries[index]
        ready = self._cache.get(entry.name)
        if entry.path is None or ready is not None:
            self._show_when_saved(self._n_asked, ready)
        else:
            self._worker.cancel("next")
            self._worker.submit(
                "image",
                partial(_read, self.read, entry.path),
                partial(self._show_when_saved, self._n_asked),
                partial(self._on_unreadable, index),
            )
        self.changed.emit()

    def next(self) -> None:
        """Open the next image."""
        self._move(1)

    def previous(self) -> None:
        """Open the image before."""
        self._move(-1)

    def _move(self, step: int) -> None:
        at = self._wanted if self._wanted is not None else self.index
        if self.entries:
            self.go(0 if at is None else at + step)

    def next_todo(self) -> None:
        """Open the next image that is neither done nor skipped."""
        at = self.book.next_todo(self.names, -1 if self.index is None else self.index)
        if at is None or at == self.index:
            words = "No other image is left to do." if at is not None else "All images are done."
            show_info(words)
        else:
            self.go(at)

    def mark(self, mark: Mark, index: int | None = None) -> None:
        """Mark an image, by default the one that is open."""
        at = self.index if index is None else index
        if at is None:
            show_warning("Open a series first: there is no image to mark.")
            return
        self._keep(self.book.with_mark(self.entries[at].name, mark))

    def _show_when_saved(self, asked: int, loaded: LoadedImage | None) -> None:
        """Show what was read, as soon as nothing of the image before is on its way to the disk."""
        if self._is_closed or asked != self._n_asked or self._wanted is None:
            return
        if self._switch.is_switching or not self._switch.is_ready:
            QTimer.singleShot(RETRY_MS, partial(self._show_when_saved, asked, loaded))
            return
        index = self._wanted
        classes = self._switch.classes or self.book.classes
        if loaded is not None:
            self._switch.to_file(loaded, classes, partial(self._on_shown, index))
        elif self._switch.to_layer(self.entries[index].layer, self.entries, classes):
            self._on_shown(index, classes)
        else:
            self._on_unreadable(index, ValueError("the layer is no longer in the viewer"))

    def _on_shown(self, index: int, classes: ClassList) -> None:
        """An image is there; another one may have been asked for while it came."""
        self.index = index
        if self._wanted == index:
            self._wanted = None
        self._keep(replace(self.book, last=self.entries[index].name, classes=classes))
        if self._wanted is None:
            self._prefetch()

    def _on_unreadable(self, index: int, error: Exception) -> None:
        """Mark a broken image and go on in the same direction."""
        if self._wanted not in (index, None):
            return
        name, reason = self.entries[index].name, in_words(error)
        self._wanted = None
        show_warning(f"{name} cannot be read and is passed over: {reason}")
        self._keep(self.book.with_mark(name, "broken", reason))
        further = index + self._step
        while 0 <= further < len(self.entries) and self.mark_of(further) == "broken":
            further += self._step
        if 0 <= further < len(self.entries) and further != self.index:
            self.go(further)

    def _prefetch(self) -> None:
        """Read the image after this one in the direction of travel."""
        at = (self.index or 0) + self._step
        kept = {self.entries[i].name for i in (at, self.index) if i is not None and self._has(i)}
        self._cache = {name: one for name, one in self._cache.items() if name in kept}
        if not self._has(at):
            return
        entry = self.entries[at]
        if entry.path is None or entry.name in self._cache or self.mark_of(at) == "broken":
            return
        self._worker.submit(
            "next",
            partial(_read, self.read, entry.path),
            partial(self._on_prefetched, entry.name),
            lambda _error: None,
        )

    def _has(self, index: int) -> bool:
        return 0 <= index < len(self.entries)

    def _on_prefetched(self, name: str, loaded: LoadedImage) -> None:
        if loaded.n_bytes <= MEMORY_BYTES and name in self.names:
            self._cache[name] = loaded

    # --- marks on disk -----------------------------------------------------------------------

    def _keep(self, book: Book) -> None:
        """Show and write other marks; the last of several is the one that stays."""
        self.book = book
        folder = self.folder
        if folder is not None:
            self._writer.submit(
                "book",
                lambda _stop: write_book(folder, self._spare(), book),
                self._on_kept,
                self._on_not_kept,
            )
        self.changed.emit()

    def _on_kept(self, _path: Path) -> None:
        self.problem = ""
        self.changed.emit()

    def _on_not_kept(self, error: Exception) -> None:
        if not self.problem:
            show_error(in_words(error))
        self.problem = "the marks could not be saved"
        self.changed.emit()

    def _on_failed(self, error: Exception) -> None:
        show_error(in_words(error))
        self.changed.emit()

    # --- end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop reading; what was marked is still written."""
        if self._is_closed:
            return
        self._is_closed, self._wanted = True, None
        self._worker.close()
        self._writer.finish()
        self._switch.close()


def _read(
    read: Callable[[Path], LoadedImage], path: Path, _should_stop: Callable[[], bool]
) -> LoadedImage:
    return read(path)
