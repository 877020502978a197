"""A folder of images, or layers, worked through one after the other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from napari.layers import Image
from napari.utils.notifications import show_info
from qtpy.QtCore import QModelIndex, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QLineEdit,
    QListView,
    QProgressBar,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_edgeflow.annotation.autosave import spare_folder
from napari_edgeflow.gui.panels.forms import button, check_box, row, text_line
from napari_edgeflow.gui.panels.series_export_panel import SeriesExportPanel
from napari_edgeflow.gui.panels.series_list import SeriesRows
from napari_edgeflow.gui.series.files import Mark
from napari_edgeflow.gui.series.series import Series

_LIST_HEIGHT = 150


class SeriesPanel(QWidget):  # type: ignore[misc, unused-ignore]
    """Choose a folder; go on, mark, jump; export all of it.

    Attributes:
        choose_folder: Asks for the folder; None when the user changed their mind. Tests replace
            it.
    """

    def __init__(self, viewer: Any, controller: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._controller = viewer, controller
        self.series = Series(viewer, controller, spare_folder)
        self.choose_folder: Callable[[], Path | None] = self._ask
        self._shown_index: int | None = None
        self._build_source()
        self._build_moves()
        self._build_marks()
        self.export = SeriesExportPanel(self.series, controller)
        self._lay_out()
        self.series.changed.connect(self._refresh)
        self._refresh()

    # --- building ----------------------------------------------------------------------------

    def _build_source(self) -> None:
        self.folder_button = button(
            "Folder…",
            "Work through the images of a folder, beginning where you stopped",
            self._on_folder,
        )
        self.layers_button = button(
            "Open images",
            "Work through the Image layers that are in the viewer; the others are hidden meanwhile",
            self._on_layers,
        )
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter, such as *.tif, !*_mask.*")
        self.filter.setToolTip(
            "Which files of the folder: *.tif, **/*.png for folders within it, !*_mask.* to leave "
            "some out; several with commas between them. Enter reads the folder again"
        )
        self.filter.setClearButtonEnabled(True)
        self.filter.returnPressed.connect(self._on_filter)

    def _build_moves(self) -> None:
        series = self.series
        self.previous_button = button(
            "◀ Previous", "Open the image before; everything is saved first", series.previous
        )
        self.next_button = button(
            "Next ▶", "Open the next image; everything is saved first", series.next
        )
        self.todo_button = button(
            "Next to do", "Open the next image that is neither done nor skipped", series.next_todo
        )
        self.rows = SeriesRows(series, self)
        self.view = QListView()
        self.view.setModel(self.rows)
        self.view.setUniformItemSizes(True)
        self.view.setMinimumWidth(80)
        self.view.setFixedHeight(_LIST_HEIGHT)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setToolTip(
            "Images of the series: ○ to do, ✓ done, ↷ skipped, ✗ cannot be read; the open one is "
            "bold. Double click or Enter opens one"
        )
        self.view.activated.connect(self._on_row)

    def _build_marks(self) -> None:
        self.done_button = button(
            "✓ Done", "Mark the open image as done", partial(self._mark, "done")
        )
        self.skip_button = button(
            "↷ Skip", "Mark the open image as skipped", partial(self._mark, "skipped")
        )
        self.undo_button = button(
            "○ To do", "Take the mark of the open image away", partial(self._mark, "todo")
        )
        self.go_on_box = check_box(
            "Go on after marking",
            "Open the next image that is to do once one is marked as done or skipped",
            lambda _is_on: None,
        )
        self.go_on_box.setChecked(True)
        self.bar = QProgressBar()
        self.bar.setToolTip("Images that are done, of all")
        self.bar.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.line = text_line("How far the series is, and what is being read or saved")

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for part in (
            row(self.folder_button, self.layers_button),
            self.filter,
            self.view,
            row(self.previous_button, self.next_button, self.todo_button),
            row(self.done_button, self.skip_button, self.undo_button),
            self.go_on_box,
            self.bar,
            self.line,
            self.export,
        ):
            layout.addWidget(part)

    # --- reactions ---------------------------------------------------------------------------

    def _ask(self) -> Path | None:
        start = str(self.series.folder or "")
        path = QFileDialog.getExistingDirectory(self, "A folder of images", start)
        return Path(path) if path else None

    def _on_folder(self) -> None:
        folder = self.choose_folder()
        if folder is not None:
            self.series.open_folder(folder, self.filter.text())

    def _on_filter(self) -> None:
        if self.series.folder is not None:
            self.series.open_folder(self.series.folder, self.filter.text())

    def _on_layers(self) -> None:
        layers = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
        self.series.open_layers(layers)

    def _on_row(self, index: QModelIndex) -> None:
        self.series.go(index.row())

    def _mark(self, mark: Mark) -> None:
        if self._controller.active is not None and mark == "done":
            show_info("An object is still being clicked: its clicks are kept with the image.")
        self.series.mark(mark)
        is_left = self.series.book.next_todo(self.series.names, -1) is not None
        if mark != "todo" and self.go_on_box.isChecked() and is_left:
            self.series.next_todo()

    def _refresh(self) -> None:
        series = self.series
        has_series, is_open = bool(series.entries), series.index is not None
        for part in (self.view, self.bar, self.next_button, self.previous_button, self.todo_button):
            part.setEnabled(has_series)
        for part in (self.done_button, self.skip_button, self.undo_button):
            part.setEnabled(is_open)
        self.rows.follow()
        if series.index != self._shown_index and series.index is not None:
            self.view.setCurrentIndex(self.rows.index(series.index))
        self._shown_index = series.index
        marks = [series.mark_of(n) for n in range(len(series.entries))]
        self.bar.setRange(0, max(1, len(marks)))
        self.bar.setValue(marks.count("done"))
        self.line.setText(self._words())
        self.export.refresh()

    def _words(self) -> str:
        series = self.series
        if not series.entries:
            return "Reading the folder…" if series.workers[0].is_busy else "No series is open."
        words = series.progress
        if series.index is not None:
            words = f"Image {series.index + 1} of {len(series.entries)} · {words}"
        if series.is_loading:
            words += " · reading…"
        return f"{words} · {series.problem}" if series.problem else words

    # --- end ---------------------------------------------------------------------------------

    def close_down(self) -> None:
        """Let go of viewer and controller; the open image stays."""
        self.series.changed.disconnect(self._refresh)
        self.export.close_down()
        self.series.close()
