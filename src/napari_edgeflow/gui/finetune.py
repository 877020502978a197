"""The objects of the open images as a data set, and the process that learns from them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import QObject, QProcess, Signal  # type: ignore[attr-defined]

from napari_edgeflow._types import AnyArray
from napari_edgeflow.gui.planes import layer_shape

LARGEST_PLANE_PX = 4096**2
MARGIN_PX = 256


@dataclass(frozen=True, slots=True, eq=False)
class Annotated:
    """An image with objects, not read yet.

    Attributes:
        name: Of the image's layer.
        pixels: The layer's array at full resolution.
        labels: The objects, of the same shape but for a last axis of colours.
        is_rgb: ``pixels`` has an axis of colours.
    """

    name: str
    pixels: Any
    labels: AnyArray
    is_rgb: bool


def find_annotated(layers: Iterable[Any], is_helper: Callable[[Any], bool]) -> list[Annotated]:
    """Every image with a Labels layer of its shape that holds objects.

    Several Labels layers of one shape belong to the image below them; where there is none
    below, to the first one of that shape.

    Args:
        layers: Of the viewer, from the bottom up.
        is_helper: True for the layers that show objects which are not finished.
    """
    found: list[Annotated] = []
    shown = list(layers)
    for at, layer in enumerate(shown):
        is_kept = isinstance(layer, Labels) and not is_helper(layer) and not layer.multiscale
        if not is_kept or not isinstance(layer.data, np.ndarray) or not layer.data.any():
            continue
        shape = tuple(layer.data.shape)
        below = [i for i in reversed(shown[:at]) if _is_image_of(i, shape)]
        images = below or [i for i in shown[at:] if _is_image_of(i, shape)]
        if images:
            image = images[0]
            pixels = image.data[0] if image.multiscale else image.data
            found.append(Annotated(str(image.name), pixels, layer.data, bool(image.rgb)))
    return found


def _is_image_of(layer: Any, shape: tuple[int, ...]) -> bool:
    return isinstance(layer, Image) and layer_shape(layer) == shape


def write_objects(
    annotated: Sequence[Annotated], out: Path, should_stop: Callable[[], bool] = lambda: False
) -> int:
    """Writes a data set, one image for every plane with objects; returns how many planes.

    Planes are the last two axes. One larger than 4096² is cut to its objects and 256 px around.

    Args:
        annotated: What to write.
        out: Folder for ``images/`` and ``masks/``.
        should_stop: Asked before every plane.

    Raises:
        OSError: A file cannot be written.
    """
    import tifffile

    number = 0
    for item in annotated:
        for index in _planes(item.labels):
            if should_stop():
                return number
            labels, window = _cut(item.labels[index])
            pixels = np.asarray(item.pixels[index][window])
            pixels = pixels[..., :3] if item.is_rgb else pixels
            for part, values in (("images", pixels), ("masks", labels)):
                path = out / part / f"{number:04}.tif"
                path.parent.mkdir(parents=True, exist_ok=True)
                kind = "rgb" if values.ndim == 3 else "minisblack"
                tifffile.imwrite(path, np.ascontiguousarray(values), photometric=kind)
            number += 1
    return number


def _planes(labels: AnyArray) -> Iterator[tuple[int, ...]]:
    """Positions on the leading axes of every plane with objects."""
    for index in np.ndindex(*labels.shape[:-2]):
        if labels[index].any():
            yield index


def _cut(plane: AnyArray) -> tuple[AnyArray, tuple[slice, slice]]:
    """(the plane's objects counted from 1 on, the part of the plane that they are from)."""
    window = (slice(None), slice(None))
    if plane.size > LARGEST_PLANE_PX:
        places = [np.flatnonzero(plane.any(axis=axis)) for axis in (1, 0)]
        window = (
            slice(max(int(places[0][0]) - MARGIN_PX, 0), int(places[0][-1]) + MARGIN_PX),
            slice(max(int(places[1][0]) - MARGIN_PX, 0), int(places[1][-1]) + MARGIN_PX),
        )
    part = plane[window]
    values, inverse = np.unique(part, return_inverse=True)
    counted = inverse.reshape(part.shape) + (values[0] != 0)
    return counted.astype(np.uint16 if len(values) < 65535 else np.uint32), window


def command(data: Path, *, model: str, minutes: float, out: Path, name: str) -> list[str]:
    """The program and its arguments that improve ``model`` on ``data``."""
    run = "import sys; from napari_edgeflow.cli import main; sys.exit(main())"
    options = ["--from", model, "--minutes", f"{minutes:g}", "--out", str(out), "--name", name]
    return [sys.executable, "-c", run, "train", "--finetune", str(data), *options, "--json"]


class Improvement(QObject):  # type: ignore[misc, unused-ignore]
    """A process that improves a model; what it says becomes signals."""

    progressed = Signal(float, str)
    """Share of the whole that is done, and what is going on."""
    succeeded = Signal(str, str)
    """Name of the new model, and the result in words."""
    failed = Signal(str)
    """Why there is no new model; empty after ``cancel``."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._process: QProcess | None = None
        self._rest = self._errors = ""
        self._done: dict[str, Any] | None = None
        self._is_cancelled = False

    @property
    def is_running(self) -> bool:
        """True until the process has ended."""
        return self._process is not None

    def start(self, arguments: Sequence[str]) -> None:
        """Starts the program ``arguments[0]``; there is one at a time."""
        if self._process is not None:
            raise RuntimeError("expected no process, but one is running; cancel it first")
        self._rest = self._errors = ""
        self._done, self._is_cancelled = None, False
        process = QProcess(self)
        self._process = process
        process.readyReadStandardOutput.connect(self._read)
        process.readyReadStandardError.connect(self._read_errors)
        process.finished.connect(self._finish)
        process.errorOccurred.connect(self._on_error)
        process.start(arguments[0], list(arguments[1:]))

    def cancel(self) -> None:
        """Ends the process; nothing it would have made is kept."""
        if self._process is not None:
            self._is_cancelled = True
            self._process.kill()

    def close(self) -> None:
        """Ends the process and says nothing more."""
        process, self._process = self._process, None
        if process is not None:
            process.blockSignals(True)
            process.kill()
            process.waitForFinished(2000)

    def _read(self) -> None:
        if self._process is None:
            return
        text = self._rest + bytes(self._process.readAllStandardOutput().data()).decode(
            errors="replace"
        )
        *lines, self._rest = text.split("\n")
        for line in lines:
            try:
                told = json.loads(line)
                self.progressed.emit(float(told["progress"]), str(told["text"]))
            except (ValueError, KeyError, TypeError):
                continue  # a library's chatter
            if told.get("stage") == "done":
                self._done = told

    def _read_errors(self) -> None:
        if self._process is not None:
            said = bytes(self._process.readAllStandardError().data()).decode(errors="replace")
            self._errors = (self._errors + said)[-4000:]

    def _on_error(self, error: Any) -> None:
        if error == QProcess.ProcessError.FailedToStart and self._process is not None:
            reason = self._process.errorString()
            self._process = None
            self.failed.emit(f"The training could not be started: {reason}")

    def _finish(self, code: int, _status: Any = None) -> None:
        self._read()
        self._read_errors()
        process, self._process = self._process, None
        if process is not None:
            process.deleteLater()
        if self._done is not None and code == 0:
            self.succeeded.emit(str(self._done["model"]), str(self._done["text"]))
        elif self._is_cancelled:
            self.failed.emit("")
        else:
            self.failed.emit(_why(self._errors, code))


def _why(errors: str, code: int) -> str:
    """The program's own message, or that it ended."""
    told = errors.rpartition("Error: ")[2].strip() if "Error: " in errors else ""
    return told or f"The training ended unexpectedly (status {code}): {errors.strip()[-300:]}"
