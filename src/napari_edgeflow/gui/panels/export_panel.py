"""Writes the finished objects in the format of the user's field, with progress and Cancel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error
from qtpy.QtCore import Qt
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QComboBox, QFileDialog, QVBoxLayout, QWidget

from napari_edgeflow.annotation.objects import PlaneIndex
from napari_edgeflow.errors import EdgeFlowError
from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.files.exporting import Finished, check_objects
from napari_edgeflow.gui.files.image_facts import ImageFacts
from napari_edgeflow.gui.labels.label_view import plane_index
from napari_edgeflow.gui.messages import in_words
from napari_edgeflow.gui.panels.export_job import ExportJob
from napari_edgeflow.gui.panels.forms import button, row
from napari_edgeflow.gui.panels.option_form import OptionForm
from napari_edgeflow.gui.planes import shown_plane
from napari_edgeflow.gui.projects.project import Project

if TYPE_CHECKING:
    from napari_edgeflow.export.formats import ExportFormat, ExportReport
    from napari_edgeflow.export.options import OptionValue

_FIRST = "coco"


class ExportPanel(QWidget):  # type: ignore[misc, unused-ignore]
    """A format, what can be chosen about it, and a button; a thread of its own writes.

    Attributes:
        choose_path: Asks where to, given title, proposed name and suffix ("" for a folder);
            None when the user changed their mind. Tests replace it.
    """

    def __init__(self, viewer: Any, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._controller = viewer, controller
        self.choose_path: Callable[[str, str, str], Path | None] = self._ask
        self.formats = QComboBox()
        self.formats.setToolTip("The format to export to")
        self.formats.setMinimumWidth(80)
        self.formats.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.options = OptionForm()
        self.button = button(
            "Export…", "Write the finished objects of the plane on the screen", self._on_export
        )
        self.job = ExportJob(
            self,
            self._show_busy,
            _told,
            cancel_tip="Stop; nothing is left of the file",
            line_tip="What is lost in the format, and what was exported",
            cancelled="Cancelled; nothing was exported.",
        )
        self.worker, self.line = self.job.worker, self.job.line
        self.cancel, self.bar = self.job.cancel, self.job.bar
        self._lay_out()
        self._fill_formats()
        self.formats.currentIndexChanged.connect(self._on_chosen)
        self._on_chosen()

    @property
    def form(self) -> ExportFormat:
        """The format that is chosen."""
        from napari_edgeflow.export.formats import FORMATS

        return FORMATS[str(self.formats.currentData())]

    def choose(self, name: str) -> None:
        """Choose a format by its name."""
        self.formats.setCurrentIndex(self.formats.findData(name))

    def close_down(self) -> None:
        """Let the thread end; a file that is being written is given up, nothing of it is left."""
        self.job.close()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (self.formats, self.options, row(self.button, self.cancel), self.bar):
            layout.addWidget(widget)
        layout.addWidget(self.line)

    def _fill_formats(self) -> None:
        """Formats under the headings of their groups, which cannot be chosen."""
        from napari_edgeflow.export.formats import FORMATS

        group = ""
        for form in FORMATS.values():
            if form.group != group:
                group = form.group
                self.formats.addItem(group)
                entries = self.formats.model()
                assert isinstance(entries, QStandardItemModel)
                entries.item(self.formats.count() - 1).setEnabled(False)
            self.formats.addItem(f"  {form.title}", form.name)
            tip = f"Cannot hold: {form.cannot_hold}"
            self.formats.setItemData(self.formats.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.choose(_FIRST)

    def _on_chosen(self, _index: int = 0) -> None:
        form = self.form
        self.options.show_options(form.name, form.options)
        self.formats.setToolTip(f"{form.title}. Cannot hold: {form.cannot_hold}")
        self.line.setText(f"Cannot hold: {form.cannot_hold}.")

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

    def _on_export(self) -> None:
        form = self.form
        try:
            project, facts, plane = self._what()
        except (ValueError, EdgeFlowError) as error:
            show_error(in_words(error))
            return
        path = self.choose_path(form.title, Path(facts.name).stem or "objects", form.suffix)
        if path is None:
            return
        values = self.options.values
        self.job.begin(path)
        project.run(
            lambda history: Finished.of(history, facts, plane),
            lambda finished: self._start(finished, form, path, values),
            self.job.fail,
        )

    def _what(self) -> tuple[Project, ImageFacts, PlaneIndex]:
        """Project, image and plane.

        Raises:
            EdgeFlowError: There is no object on the plane, or no plane in this view.
            ValueError: There is no image with objects.
        """
        project = self._controller.project
        if project is None:
            raise ValueError("expected an image with objects; finish an object first")
        facts = ImageFacts.of_layer(project.image)
        plane = plane_index(shown_plane(project.image, self._viewer.dims))
        if project.is_open:
            here = [one for one in project.state.objects.values() if one.plane == plane]
            check_objects(here, facts.name)
        return project, facts, plane

    def _start(
        self, finished: Finished, form: ExportFormat, path: Path, values: dict[str, OptionValue]
    ) -> None:
        self.job.run(
            lambda tell, should_stop: finished.write(form.name, path, values, tell, should_stop)
        )

    def _show_busy(self, is_busy: bool) -> None:
        self.button.setEnabled(not is_busy)
        self.formats.setEnabled(not is_busy)
        self.options.setEnabled(not is_busy)


def _told(report: ExportReport) -> tuple[Path, str]:
    (path,) = report.paths
    return path, f"Exported to {path}"
