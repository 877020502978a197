"""The process that learns from the user's objects."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QProcess, Signal  # type: ignore[attr-defined]


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
