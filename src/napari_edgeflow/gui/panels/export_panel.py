"""A button that writes the finished objects in the format of the user's field."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QFileDialog, QMenu, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_edgeflow.errors import EdgeFlowError
from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.exporting import MAP_FORMATS, Finished, write_finished
from napari_edgeflow.gui.messages import in_words
from napari_edgeflow.gui.panels.forms import text_line
from napari_edgeflow.gui.planes import shown_plane
from napari_edgeflow.gui.worker import Worker

_KEY = "export"


class ExportPanel(QWidget):  # type: ignore[misc, unused-ignore]
    """A menu of formats; the one that is chosen is written in a thread of its own.

    Attributes:
        choose_path: Asks where to, given title, proposed name and suffix ("" for a folder);
            None when the user changed their mind. Tests replace it.
    """

    def __init__(self, viewer: Any, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._controller = viewer, controller
        self.worker = Worker()
        self.choose_path: Callable[[str, str, str], Path | None] = self._ask
        self.button = QPushButton("Export…")
        self.button.setToolTip(
            "Write the finished objects of the plane on the screen: label mask, COCO, PASCAL VOC, "
            "LabelMe, YOLO, GeoPackage and others"
        )
        self.button.setMinimumWidth(40)
        self.button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.menu = QMenu(self.button)
        self.menu.setToolTipsVisible(True)
        self._fill_menu()
        self.button.setMenu(self.menu)
        self.line = text_line("What was exported")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.button)
        layout.addWidget(self.line)
        self.line.setVisible(False)

    def _fill_menu(self) -> None:
        from napari_edgeflow.export.formats import FORMATS

        for form in FORMATS.values():
            self._add(form.name, form.title, form.suffix, f"Cannot hold: {form.cannot_hold}")
        self.menu.addSeparator()
        for title, suffix in MAP_FORMATS:
            tip = "Outlines in the image's coordinates on the map; for images from a GeoTIFF"
            self._add(suffix, f"{title} (on the map)", suffix, tip)

    def _add(self, form: str, title: str, suffix: str, tip: str) -> None:
        action = self.menu.addAction(title)
        action.setToolTip(tip)
        action.triggered.connect(partial(self._on_format, form, title, suffix))

    def _ask(self, title: str, name: str, suffix: str) -> Path | None:
        if suffix:
            path, _ = QFileDialog.getSaveFileName(
                self, f"Export: {title}", name + suffix, f"*{suffix}"
            )
        else:
            path = QFileDialog.getExistingDirectory(self, f"Export: {title}, into a folder")
        if not path:
            return None
        chosen = Path(path)
        return chosen if not suffix or chosen.suffix else chosen.with_name(chosen.name + suffix)

    def _on_format(self, form: str, title: str, suffix: str, _checked: bool = False) -> None:
        image, labels = self._controller.image, self._controller.target
        try:
            if image is None or labels is None:
                raise ValueError(
                    "expected an image and a Labels layer with objects; finish an object first"
                )
            finished = Finished.of(image, labels, shown_plane(image, self._viewer.dims))
        except (ValueError, EdgeFlowError) as error:
            show_error(in_words(error))
            return
        path = self.choose_path(title, finished.proposed_name, suffix)
        if path is None:
            return
        self._say(f"Writing {path.name}…")
        self.button.setEnabled(False)
        self.worker.submit(
            _KEY, write_finished(finished, form, path), self._on_done, self._on_failed
        )

    def _on_done(self, result: tuple[Path, tuple[str, ...]]) -> None:
        path, notes = result
        self._say(f"Exported to {path}")
        self.button.setEnabled(True)
        if notes:
            show_info(f"{path.name} does not hold everything: {'; '.join(notes)}")

    def _on_failed(self, error: Exception) -> None:
        self._say("Nothing was exported; see the message.")
        self.button.setEnabled(True)
        show_error(in_words(error))

    def _say(self, text: str) -> None:
        self.line.setText(text)
        self.line.setVisible(True)

    def close_down(self) -> None:
        """Let the thread end; a file that is being written is finished first."""
        self.worker.close()
