"""Exports all images of a series at once, with progress and Cancel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QFileDialog, QSizePolicy, QVBoxLayout, QWidget

from napari_edgeflow.gui.panels.export_job import ExportJob
from napari_edgeflow.gui.panels.forms import button, check_box, row
from napari_edgeflow.gui.series.series import Series

if TYPE_CHECKING:
    from napari_edgeflow.export.formats import ExportFormat
    from napari_edgeflow.gui.series.export import SeriesOrder, SeriesReport


class SeriesExportPanel(QWidget):  # type: ignore[misc, unused-ignore]
    """A format, a button, a bar.

    Attributes:
        choose_path: Asks where to, given the title and the suffix ("" for a folder); None when
            the user changed their mind. Tests replace it.
    """

    def __init__(self, series: Series, controller: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._series, self._controller = series, controller
        self.choose_path: Callable[[str, str], Path | None] = self._ask
        self.formats = QComboBox()
        self.formats.setMinimumWidth(80)
        self.formats.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.formats.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.formats.setToolTip(
            "COCO, VOC and YOLO hold all images; other formats give a file for each"
        )
        self.button = button(
            "Export series…", "Write the objects of all images of the series", self._on_export
        )
        self.done_box = check_box(
            "Done images only",
            "Leave out images that are not marked. Images that are done and hold no object are "
            "written too, where the format has a place for them",
            lambda _is_on: None,
        )
        self.job = ExportJob(
            self,
            self._show_busy,
            _told,
            cancel_tip="Stop; no half-written file is left",
            line_tip="What was exported",
            cancelled="Cancelled.",
        )
        self.worker, self.line = self.job.worker, self.job.line
        self.cancel, self.bar = self.job.cancel, self.job.bar
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for part in (self.formats, self.done_box, row(self.button, self.cancel), self.bar):
            layout.addWidget(part)
        layout.addWidget(self.line)
        self._fill()
        self.refresh()
        self.line.setVisible(False)

    def _fill(self) -> None:
        from napari_edgeflow.export.formats import FORMATS

        forms = sorted(FORMATS.values(), key=lambda form: not _is_together(form))
        for form in forms:
            self.formats.addItem(form.title, form.name)
            tip = f"Cannot hold: {form.cannot_hold}"
            self.formats.setItemData(self.formats.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)

    @property
    def form(self) -> ExportFormat:
        """The format that is chosen."""
        from napari_edgeflow.export.formats import FORMATS

        return FORMATS[str(self.formats.currentData())]

    def choose(self, name: str) -> None:
        """Choose a format by its name."""
        self.formats.setCurrentIndex(self.formats.findData(name))

    def refresh(self) -> None:
        """Follow the series."""
        has_files = any(entry.path is not None for entry in self._series.entries)
        self.button.setEnabled(has_files and not self.worker.is_busy)

    def _ask(self, title: str, suffix: str) -> Path | None:
        start = str(self._series.folder or "")
        if suffix:
            path, _ = QFileDialog.getSaveFileName(
                self, f"Export the series: {title}", f"{start}/series{suffix}", f"*{suffix}"
            )
        else:
            path = QFileDialog.getExistingDirectory(
                self, f"Export the series: {title}, into a folder", start
            )
        if not path:
            return None
        chosen = Path(path)
        return chosen if not suffix or chosen.suffix else chosen.with_name(chosen.name + suffix)

    def _on_export(self) -> None:
        form = self.form
        path = self.choose_path(form.title, form.suffix if _is_together(form) else "")
        if path is not None:
            self._start(form, path)

    def _start(self, form: ExportFormat, path: Path) -> None:
        from napari_edgeflow.gui.series.export import SeriesOrder

        series = self._series
        images = tuple(
            (entry.name, entry.path, series.mark_of(number) == "done")
            for number, entry in enumerate(series.entries)
            if entry.path is not None and series.mark_of(number) != "broken"
        )
        folder = self._controller.projects.autosave.folder
        order = SeriesOrder(form.name, path, images, self.done_box.isChecked(), folder)
        self.job.begin(path)
        self.line.setVisible(True)
        self._submit_when_saved(order)

    def _submit_when_saved(self, order: SeriesOrder) -> None:
        """The open image's steps first: what is on its way to the disk belongs to the export."""
        project = self._controller.project
        if project is not None and project.is_open:
            project.run(lambda _history: None, lambda _none: self._submit(order), self.job.fail)
        else:
            self._submit(order)

    def _submit(self, order: SeriesOrder) -> None:
        from napari_edgeflow.gui.series.export import export_series

        self.job.run(partial(export_series, order))

    def _show_busy(self, is_busy: bool) -> None:
        for part in (self.button, self.formats, self.done_box):
            part.setEnabled(not is_busy)
        self.button.setVisible(not is_busy)
        if not is_busy:
            self.refresh()

    def close_down(self) -> None:
        """Let the thread end; a file that is being written is given up."""
        self.job.close()


def _told(report: SeriesReport) -> tuple[Path, str]:
    return report.path, (
        f"{report.n_objects} object{'s' * (report.n_objects != 1)} of {report.n_images} "
        f"image{'s' * (report.n_images != 1)} exported to {report.path}"
    )


def _is_together(form: ExportFormat) -> bool:
    """True for formats that hold many images in one file or folder."""
    return form.write_series is not None and not form.uses
