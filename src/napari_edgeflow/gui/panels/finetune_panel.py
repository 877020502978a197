"""“Improve on my objects”: a model that learns from what the user has finished."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QDoubleSpinBox, QProgressBar, QVBoxLayout, QWidget

from napari_edgeflow.gui.finetune import Improvement, command, find_annotated, write_objects
from napari_edgeflow.gui.messages import in_words
from napari_edgeflow.gui.panels.forms import button, row, text_line

MINE = re.compile(r"-mine\d*$")
NO_OBJECTS = (
    "Finish some objects first: an image with a Labels layer of its size and at least four "
    "objects is needed to learn from."
)


class FinetunePanel(QWidget):  # type: ignore[misc, unused-ignore]
    """Writes the objects of the open images, trains in a process of its own, tells the result.

    Args:
        viewer: The napari viewer.
        controller: Knows the model and which layers are helpers; its worker writes the files.
        folder: Where objects and runs are kept; the user's model folder when None.
        new_command: Makes the command line; tests give another.
    """

    model_added = Signal(str)
    """Name of a model that is now among the user's."""

    def __init__(
        self,
        viewer: Any,
        controller: Any,
        folder: Callable[[], Path] | None = None,
        new_command: Callable[..., list[str]] = command,
    ) -> None:
        super().__init__()
        self._viewer, self._controller = viewer, controller
        self._folder, self._new_command = folder or _user_folder, new_command
        self.improvement = Improvement(self)
        self.improvement.progressed.connect(self._on_progress)
        self.improvement.succeeded.connect(self._on_success)
        self.improvement.failed.connect(self._on_failure)
        self._is_preparing = False
        self._build()
        self._show_state()

    def _build(self) -> None:
        self.start_button = button(
            "Improve on my objects",
            "Train the model further on the finished objects of all open images. A quarter of "
            "them is held out; the new model is kept only if it needs fewer clicks on these",
            self.start,
        )
        self.minutes_box = QDoubleSpinBox()
        self.minutes_box.setRange(0.1, 600)
        self.minutes_box.setDecimals(1)
        self.minutes_box.setValue(5)
        self.minutes_box.setSuffix(" min")
        self.minutes_box.setToolTip("Length of the training; judging the models comes on top")
        self.stop_button = button(
            "Stop", "End the training; your models stay as they are", self.stop
        )
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setToolTip("Judging, training and judging again")
        self.line = text_line("What the training is doing, or its result")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.start_button)
        layout.addWidget(row(self.minutes_box, self.stop_button))
        layout.addWidget(self.bar)
        layout.addWidget(self.line)

    # --- the run ---------------------------------------------------------------------------

    def start(self) -> None:
        """Write the objects and start the training."""
        if self._is_preparing or self.improvement.is_running:
            return
        annotated = find_annotated(self._viewer.layers, self._controller.is_preview)
        if not annotated:
            show_warning(NO_OBJECTS)
            return
        model = self._controller.model
        name = free_name(model)
        stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        place = self._folder() / f"{name}_{stamp}"
        self._is_preparing = True
        self.line.setText("Writing the objects")
        self._show_state()
        self._controller.worker.submit(
            "finetune",
            partial(write_objects, annotated, place / "objects"),
            lambda _count: self._train(place, model, name),
            self._on_not_written,
        )

    def _train(self, place: Path, model: str, name: str) -> None:
        if not self._is_preparing:
            return
        self._is_preparing = False
        arguments = self._new_command(
            place / "objects",
            model=model,
            minutes=self.minutes_box.value(),
            out=place / "training",
            name=name,
        )
        self.improvement.start(arguments)
        self._show_state()

    def _on_not_written(self, error: Exception) -> None:
        self._is_preparing = False
        self._on_failure(f"The objects could not be written: {in_words(error)}")

    def stop(self) -> None:
        """End the training; models stay as they are."""
        if self._is_preparing:
            self._is_preparing = False
            self._controller.worker.cancel("finetune")
            self._on_failure("")
        self.improvement.cancel()

    def close_down(self) -> None:
        """End the training, if there is one, and say nothing more."""
        self._is_preparing = False
        with suppress(RuntimeError):  # Qt may have ended first
            self.improvement.close()

    # --- what it says ----------------------------------------------------------------------

    def _on_progress(self, share: float, text: str) -> None:
        self.bar.setValue(round(1000 * share))
        self.line.setText(text)

    def _on_success(self, model: str, text: str) -> None:
        self.line.setText(text)
        self._show_state()
        show_info(text)
        self.model_added.emit(model)

    def _on_failure(self, reason: str) -> None:
        text = reason[:1].upper() + reason[1:] if reason else "Stopped; your models are as before."
        self.line.setText(text)
        self._show_state()
        if reason:
            show_warning(text)

    def _show_state(self) -> None:
        is_busy = self._is_preparing or self.improvement.is_running
        self.start_button.setEnabled(not is_busy)
        self.minutes_box.setEnabled(not is_busy)
        self.stop_button.setEnabled(is_busy)
        self.bar.setVisible(is_busy)
        self.bar.setValue(0)


def free_name(model: str) -> str:
    """A name for what is learned from ``model``: ``MODEL-mine``, ``MODEL-mine2`` …, not taken."""
    from napari_edgeflow.zoo.store import user_files

    taken = {path.stem for path in user_files()}
    name, number = (base := MINE.sub("", model)) + "-mine", 1
    while name in taken:
        number += 1
        name = f"{base}-mine{number}"
    return name


def _user_folder() -> Path:
    """Beside the user's models."""
    from napari_edgeflow.zoo.store import models_folder

    return models_folder() / "improved"
