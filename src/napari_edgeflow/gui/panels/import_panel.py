"""Annotations that exist already: from files, by button or dropped, and from Labels layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from napari.layers import Labels
from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtWidgets import QComboBox, QFileDialog, QSizePolicy, QVBoxLayout, QWidget

from napari_edgeflow.annotation.changes import Change
from napari_edgeflow.errors import EdgeFlowError
from napari_edgeflow.gui.clicks.prompting import Prompts
from napari_edgeflow.gui.files.image_facts import ImageFacts
from napari_edgeflow.gui.files.importing import (
    MAP_SUFFIXES,
    SUFFIXES,
    Import,
    Wanted,
    file_kind,
    import_file,
    import_layer,
    read_prompts,
)
from napari_edgeflow.gui.messages import in_words
from napari_edgeflow.gui.panels.forms import button, row, text_line
from napari_edgeflow.gui.panels.layer_combo import LayerCombo
from napari_edgeflow.gui.planes import layer_shape
from napari_edgeflow.gui.worker import Worker

_MEANINGS = (
    ("Objects", "Polygons and the values of a label mask become objects"),
    ("Classes of a mask", "The values of a mask are classes; each connected part is an object"),
    ("Prompts", "Points and polygons on the map become clicks, gone through one by one"),
)


class ImportPanel(QWidget):  # type: ignore[misc, unused-ignore]
    """A button and a place to drop files, a choice of what they mean, and a layer to take in.

    Attributes:
        choose_path: Asks which file; None when the user changed their mind. Tests replace it.
    """

    def __init__(self, viewer: Any, controller: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._controller = viewer, controller
        self.worker = Worker()
        self.prompts = Prompts(viewer, controller)
        self.choose_path: Callable[[], Path | None] = self._ask
        self.setAcceptDrops(True)
        self._build()
        self._lay_out()
        self.prompts.changed.connect(self._refresh)
        self.layer_box.layer_changed.connect(lambda _layer: self._refresh())
        controller.changed.connect(self._refresh)
        self._refresh()

    def _build(self) -> None:
        self.meaning = QComboBox()
        self.meaning.setMinimumWidth(80)
        self.meaning.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        for number, (title, tip) in enumerate(_MEANINGS):
            self.meaning.addItem(title)
            self.meaning.setItemData(number, tip, 3)  # the tooltip's role
        self.meaning.setToolTip("What a file holds: " + "; ".join(tip for _, tip in _MEANINGS))
        self.file_button = button(
            "Import file…",
            "COCO, LabelMe, a label mask (PNG, TIFF), GeoPackage, GeoJSON or Shapefile; files can "
            "be dropped here too. Finished objects keep their pixels; one Undo takes it all back",
            self._on_file,
        )
        self.layer_box = LayerCombo(self._viewer, self._is_source, "no Labels layer")
        self.layer_button = button(
            "Import layer",
            "Take the labels of this layer in as objects; the layer itself stays as it is",
            self._on_layer,
        )
        self.next_button = button(
            "Skip", "Leave this prompt and go to the next; Finish goes on too", self.prompts.next
        )
        self.stop_button = button("Stop", "Forget the prompts that are left", self.prompts.stop)
        self.prompt_row = row(self.next_button, self.stop_button)
        self.line = text_line("What was imported; files can be dropped here")

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for part in (
            row(self.meaning, self.file_button),
            row(self.layer_box, self.layer_button),
            self.line,
            self.prompt_row,
        ):
            layout.addWidget(part)

    def _is_source(self, layer: Any) -> bool:
        """True for Labels layers that are not our own."""
        project = self._controller.project
        is_target = project is not None and layer is project.layer
        return (
            isinstance(layer, Labels) and not is_target and not self._controller.is_preview(layer)
        )

    # --- files -------------------------------------------------------------------------------

    def _ask(self) -> Path | None:
        kinds = " ".join(f"*{suffix}" for suffix in SUFFIXES)
        path, _ = QFileDialog.getOpenFileName(
            self, "Import annotations", "", f"Annotations ({kinds});;All files (*)"
        )
        return Path(path) if path else None

    def _on_file(self) -> None:
        if self._wanted() is None:
            return
        path = self.choose_path()
        if path is not None:
            self.take_file(path)

    def take_file(self, path: Path) -> None:
        """Import a file as the panel says."""
        wanted = self._wanted()
        if wanted is None:
            return
        self._say(f"Reading {path.name}…")
        if self.meaning.currentIndex() == 2:
            self.worker.submit(
                "prompts",
                lambda _stop: _prompts_of(path, wanted),
                partial(self._on_prompts, wanted),
                self._on_failed,
            )
        else:
            self._do(import_file(path, wanted, holds_classes=self.meaning.currentIndex() == 1))

    def dragEnterEvent(self, event: Any) -> None:  # noqa: N802
        """Take files that can be imported."""
        if _paths_in(event):
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:  # noqa: N802
        """Import what was dropped, one file after the other."""
        paths = _paths_in(event)
        event.acceptProposedAction()
        for path in paths:
            self.take_file(path)

    # --- layers ------------------------------------------------------------------------------

    def _on_layer(self) -> None:
        wanted, layer = self._wanted(), self.layer_box.layer
        if wanted is None:
            return
        if layer is None:
            show_warning("Expected a Labels layer to import, got none: open or make one first.")
            return
        try:
            self._do(import_layer(layer, wanted))
        except (ValueError, EdgeFlowError) as error:
            show_error(in_words(error))

    # --- the step ----------------------------------------------------------------------------

    def _wanted(self) -> Wanted | None:
        """Where objects go; None after a message that there is no place."""
        project = self._controller.project
        if project is None:
            show_warning("Choose an image first: annotations are imported onto it.")
            return None
        plane = project.plane
        shape = layer_shape(project.image)
        axes = [n for n, at in enumerate(plane or (None,) * len(shape)) if at is None][-2:]
        facts = ImageFacts.of_layer(project.image)
        return Wanted(facts, plane, (shape[axes[0]], shape[axes[1]]))

    def _do(self, one: Import) -> None:
        self._say(f"Importing {one.title}…")
        self._controller.project.do(
            one.make, partial(self._on_done, one), on_failed=self._on_failed
        )

    def _on_done(self, one: Import, change: Change) -> None:
        n = sum(pair[0] is None for pair in change.objects.values())
        self._say(f"{n} object{'s' * (n != 1)} from {one.title}")
        if one.notes:
            show_info(f"{one.title}: {'; '.join(one.notes)}")

    def _on_prompts(self, wanted: Wanted, result: tuple[Any, list[str]]) -> None:
        groups, notes = result
        if notes:
            show_info("; ".join(notes))
        if not groups:
            self._say("The file holds no prompt on this image.")
            return
        self._say("")
        self.prompts.begin(groups, wanted.plane)

    def _on_failed(self, error: Exception) -> None:
        self._say("Nothing was imported; see the message.")
        show_error(in_words(error))

    def _say(self, text: str) -> None:
        self.line.setText(text)
        self._refresh()

    def _refresh(self) -> None:
        has_project = self._controller.project is not None
        self.file_button.setEnabled(has_project)
        self.layer_button.setEnabled(has_project and self.layer_box.layer is not None)
        self.prompt_row.setVisible(self.prompts.is_active)
        if self.prompts.is_active:
            self.line.setText(self.prompts.line)
        self.line.setVisible(bool(self.line.text()))

    # --- end ---------------------------------------------------------------------------------

    def close_down(self) -> None:
        """Let go of viewer and controller."""
        self._controller.changed.disconnect(self._refresh)
        self.prompts.changed.disconnect(self._refresh)
        self.prompts.close()
        self.layer_box.close_down()
        self.worker.close()


def _prompts_of(path: Path, wanted: Wanted) -> tuple[Any, list[str]]:
    if file_kind(path) != "map":
        raise ValueError(
            f"expected points or polygons on the map ({', '.join(MAP_SUFFIXES)}) as prompts, got "
            f"{path.name}; import it as objects"
        )
    return read_prompts(path, wanted)


def _paths_in(event: Any) -> list[Path]:
    """The local files of a drag."""
    urls = event.mimeData().urls() if event.mimeData().hasUrls() else []
    return [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
