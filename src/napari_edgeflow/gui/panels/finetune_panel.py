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

from napari_edgeflow.annotation.history import History
from napari_edgeflow.gui.finetune import Improvement, command
from napari_edgeflow.gui.finetune_objects import (
    Annotated,
    LayerObjects,
    Pixels,
    ProjectObjects,
    ShouldStop,
    count_of,
    find_layers,
    write_objects,
)
from napari_edgeflow.gui.messages import in_words
from napari_edgeflow.gui.panels.forms import button, row, text_line
from napari_edgeflow.gui.planes import layer_shape
from napari_edgeflow.gui.projects.project import Project
from napari_edgeflow.gui.worker import Worker
from napari_edgeflow.training.finetune import FEWEST_OBJECTS
from napari_edgeflow.training.pack import MIN_AREA_PX

MINE = re.compile(r"-mine\d*$")
NO_OBJECTS = f"Finish some objects first: at least {FEWEST_OBJECTS} are needed to learn from."


class TooFewObjectsError(ValueError):
    """There is not enough to learn from."""


class FinetunePanel(QWidget):  # type: ignore[misc, unused-ignore]
    """Writes the objects of the open images, trains in a process of its own, tells the result.

    Args:
        viewer: The napari viewer.
        controller: Knows the model, the projects, and which layers are helpers.
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
        self.worker = Worker()
        self._n_in_layers = 0
        self._waiting: list[Annotated] = []
        self.improvement = Improvement(self)
        self.improvement.progressed.connect(self._on_progress)
        self.improvement.succeeded.connect(self._on_success)
        self.improvement.failed.connect(self._on_failure)
        self._is_preparing = self._is_closed = False
        self._build()
        self._show_state()
        controller.changed.connect(self._show_count)
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
            event.connect(self._count_layers)

    def _build(self) -> None:
        self.start_button = button(
            "Improve on my objects",
            "Train the model further on the finished objects of all open images, hidden and "
            "locked ones too. A quarter of them is held out; the new model is kept only if it "
            "needs fewer clicks on these",
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
        self.count_line = text_line(
            f"Finished objects of {MIN_AREA_PX} px and more, of all open images and all planes"
        )
        self.line = text_line("What the training is doing, or its result")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.count_line)
        layout.addWidget(self.start_button)
        layout.addWidget(row(self.minutes_box, self.stop_button))
        layout.addWidget(self.bar)
        layout.addWidget(self.line)

    # --- the objects -----------------------------------------------------------------------

    def showEvent(self, event: Any) -> None:  # noqa: N802
        """Count what there is to learn from."""
        super().showEvent(event)
        self._count_layers()

    def _projects(self) -> list[Project]:
        """The open projects with objects."""
        return [one for one in self._controller.projects.all if one.is_open and one.state.objects]

    def _layers(self) -> list[LayerObjects]:
        """Labels layers that no project has."""
        ours = [one.layer for one in self._controller.projects.all if one.layer is not None]

        def is_left_out(layer: Any) -> bool:
            return self._controller.is_preview(layer) or any(layer is one for one in ours)

        return find_layers(self._viewer.layers, is_left_out)

    def _count_layers(self, _event: Any = None) -> None:
        """Look through the layers without a project, in the worker, if anybody looks here."""
        if not self.isVisible():
            return
        layers = self._layers()
        self._n_in_layers = 0
        self._show_count()
        if layers:
            self.worker.submit(
                "count",
                lambda _stop: sum(one.n_objects for one in layers),
                self._on_counted,
                lambda _error: None,
            )

    def _on_counted(self, n_objects: int) -> None:
        self._n_in_layers = n_objects
        self._show_count()

    def _show_count(self) -> None:
        if self.isVisible():
            n = self._n_in_layers + sum(count_of(one.state) for one in self._projects())
            found = f"{n or 'No'} object{'s' * (n != 1)} found"
            self.count_line.setText(f"{found}; at least {FEWEST_OBJECTS} are needed.")

    # --- the run ---------------------------------------------------------------------------

    def start(self) -> None:
        """Write the objects and start the training."""
        if self._is_preparing or self.improvement.is_running:
            return
        projects, layers = self._projects(), self._layers()
        if not projects and not layers:
            show_warning(NO_OBJECTS)
            return
        self._is_preparing = True
        self.line.setText("Writing the objects")
        self._show_state()
        self._waiting = list(layers)
        wanted = len(layers) + len(projects)
        if not projects:
            self._write(self._waiting)
        for project in projects:  # after the steps that are on their way
            own = Pixels.of(project.image), layer_shape(project.image)
            project.run(
                partial(_objects_of, *own),
                partial(self._on_project, self._waiting, wanted),
                self._on_not_written,
            )

    def _on_project(self, found: list[Annotated], wanted: int, objects: ProjectObjects) -> None:
        found.append(objects)
        if self._is_preparing and found is self._waiting and len(found) == wanted:
            self._write(found)

    def _write(self, found: list[Annotated]) -> None:
        model = self._controller.model
        name = free_name(model)
        stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        place = self._folder() / f"{name}_{stamp}"
        self.worker.submit(
            "write",
            partial(_write_enough, found, place / "objects"),
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
        if not self._is_preparing:
            return
        self._is_preparing = False
        if isinstance(error, TooFewObjectsError):
            self._on_failure(str(error))
        else:
            self._on_failure(f"The objects could not be written: {in_words(error)}")

    def stop(self) -> None:
        """End the training; models stay as they are."""
        if self._is_preparing:
            self._is_preparing = False
            self.worker.cancel("write")
            self._on_failure("")
        self.improvement.cancel()

    def close_down(self) -> None:
        """End the training, if there is one, and say nothing more."""
        self._is_preparing = False
        if not self._is_closed:
            self._is_closed = True
            self._controller.changed.disconnect(self._show_count)
            for event in (self._viewer.layers.events.inserted, self._viewer.layers.events.removed):
                event.disconnect(self._count_layers)
        self.worker.close()
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


def _objects_of(pixels: Pixels, shape: tuple[int, ...], history: History) -> ProjectObjects:
    return ProjectObjects(pixels, history.state, history.store, shape)


def _write_enough(found: list[Annotated], out: Path, should_stop: ShouldStop) -> int:
    """The number of pictures written; in the worker.

    Raises:
        TooFewObjectsError: There is too little to learn from.
    """
    n = sum(one.n_objects for one in found)
    if n < FEWEST_OBJECTS:
        raise TooFewObjectsError(
            f"At least {FEWEST_OBJECTS} finished objects of {MIN_AREA_PX} px are needed to learn "
            f"from, and {n or 'none'} {'was' if n == 1 else 'were'} found; finish a few more."
        )
    return write_objects(found, out, should_stop)


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
