"""The objects of the image as a table: find, select, look at, rename, hide, lock, delete."""

from __future__ import annotations

from functools import partial
from typing import Any

from napari.utils.notifications import show_warning
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QAction  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QLineEdit,
    QMenu,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_edgeflow.annotation import commands
from napari_edgeflow.annotation.changes import Change, State
from napari_edgeflow.annotation.objects import ObjectRecord
from napari_edgeflow.gui.labels.object_table import ObjectTable
from napari_edgeflow.gui.look import zoom_to
from napari_edgeflow.gui.panels.forms import button, row, text_line
from napari_edgeflow.gui.panels.objects_view import ObjectsView
from napari_edgeflow.gui.panels.swatches import swatch
from napari_edgeflow.gui.pixel_size import PixelSize
from napari_edgeflow.gui.projects.link import ProjectLink


class ObjectsPanel(QWidget):  # type: ignore[misc, unused-ignore]
    """Table, filter box and buttons; every edit is a step of the project.

    Args:
        viewer: The napari viewer.
        controller: Has ``project``, ``selected_ids`` with its signal, and ``take_up``.
    """

    def __init__(self, viewer: Any, controller: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._controller = viewer, controller
        self._is_closed = self._is_picking = False
        self.table = ObjectTable(self)
        self.view = ObjectsView(self.table, self.delete, self.zoom, self._on_menu)
        self.view.setToolTip(
            "Objects of this image. Double click: look at it. F2: rename. Delete: delete. Right "
            "click: more. Click a heading to sort, right click it to choose columns."
        )
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter by id, class, name…")
        self.filter.setToolTip(
            "Show only the objects that have all these words in their id, class, name, state "
            "(hidden, locked) or model"
        )
        self.filter.setClearButtonEnabled(True)
        for one in self.filter.findChildren(QAction):  # its button takes the text from it
            one.setToolTip("Show all objects again")
        self.line = text_line("Objects in the table")
        self._build_buttons()
        self._lay_out()
        self._link = ProjectLink(controller, self._on_change, self._on_picked)
        self.filter.textChanged.connect(self._on_filter)
        self.table.renamed.connect(self._on_renamed)
        self.view.ids_selected.connect(self._on_rows)
        controller.selection_changed.connect(self._on_selected)
        self._on_change(None)
        self._link.start()

    # --- building --------------------------------------------------------------------------

    def _build_buttons(self) -> None:
        self.zoom_button = button("Zoom to", "Look at the selected objects", self.zoom)
        self.take_up_button = button(
            "Take up", "Correct the selected object, with the clicks that made it", self.take_up
        )
        self.rename_button = button("Rename", "Give the object a name  [F2]", self.rename)
        self.class_button = QPushButton("Class")
        self.class_button.setToolTip("Give the selected objects another class")
        self.class_button.setMinimumWidth(40)
        self.class_button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.class_menu = QMenu(self.class_button)
        self.class_menu.aboutToShow.connect(lambda: self.fill_class_menu(self.class_menu))
        self.class_button.setMenu(self.class_menu)
        self.hide_button = button(
            "Hide", "Do not show the selected objects; again: show them", self.toggle_hidden
        )
        self.lock_button = button(
            "Lock",
            "Protect the selected objects: nothing overwrites or changes them; again: unlock",
            self.toggle_locked,
        )
        self.delete_button = button(
            "Delete", "Delete the selected objects; Undo brings them back  [Del]", self.delete
        )

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for part in (
            self.filter,
            self.view,
            self.line,
            row(self.zoom_button, self.take_up_button, self.rename_button),
            row(self.class_button, self.hide_button, self.lock_button, self.delete_button),
        ):
            layout.addWidget(part)

    # --- following the project -------------------------------------------------------------

    def _on_change(self, change: Change | None) -> None:
        project = self._link.project
        if project is None:
            self.view.silently(lambda: self.table.show(State(), None))
        elif change is None:
            pixel = PixelSize.of_layer(project.image)
            self.view.silently(lambda: self.table.show(project.state, pixel))
        else:
            place = self.view.verticalScrollBar().value()
            self.view.silently(lambda: self.table.follow(project.state, change))
            self.view.verticalScrollBar().setValue(place)
        self._drop_gone()
        self.view.show_columns()
        self._show_selected()

    def _drop_gone(self) -> None:
        """Objects that are no more are not selected."""
        project = self._link.project
        objects = project.state.objects if project is not None else {}
        ids = self._controller.selected_ids
        if any(label not in objects for label in ids):
            self._controller.selected_ids = tuple(label for label in ids if label in objects)

    # --- selection -------------------------------------------------------------------------

    @property
    def selected(self) -> tuple[ObjectRecord, ...]:
        """The selected objects, those that the filter leaves out as well."""
        project = self._link.project
        if project is None:
            return ()
        objects = project.state.objects
        return tuple(objects[i] for i in self._controller.selected_ids if i in objects)

    def _on_rows(self, ids: tuple[int, ...]) -> None:
        self._controller.selected_ids = ids

    def _on_picked(self, label: int) -> None:
        """Select the object that was picked in the Labels layer."""
        if not self._is_picking and label in self._link.project.state.objects:
            self._controller.selected_ids = (label,)

    def _on_selected(self) -> None:
        """Other objects are selected, wherever that came from."""
        ids = self._controller.selected_ids
        self._show_selected()
        if len(ids) == 1:
            self.view.show_row_of(ids[0])
            if self._link.layer is not None:
                self._is_picking = True
                self._link.layer.selected_label = ids[0]
                self._is_picking = False

    def _show_selected(self) -> None:
        self.view.select_ids(self._controller.selected_ids)
        self._refresh()

    def _refresh(self) -> None:
        records = self.selected
        is_one = len(records) == 1
        is_free = bool(records) and not any(record.is_locked for record in records)
        for one in (self.zoom_button, self.hide_button, self.lock_button):
            one.setEnabled(bool(records))
        for one in (self.take_up_button, self.rename_button):
            one.setEnabled(is_one and is_free)
        for one in (self.class_button, self.delete_button):
            one.setEnabled(is_free)
        self.hide_button.setText("Show" if _are_hidden(records) else "Hide")
        self.lock_button.setText("Unlock" if _are_locked(records) else "Lock")
        n, n_rows = self.table.n_objects, self.table.rowCount()
        text = f"{n} object{'s' * (n != 1)}" if n == n_rows else f"{n_rows} of {n} objects"
        self.line.setText(text + (f", {len(records)} selected" if records else ""))

    def _on_filter(self, text: str) -> None:
        self.view.silently(lambda: self.table.set_filter(text))
        self._show_selected()

    # --- what the user does ----------------------------------------------------------------

    def zoom(self) -> None:
        """Look at the selected objects; of several planes, at those on the first one's."""
        records = self.selected
        if not records:
            return
        first, box = records[0], records[0].box
        for record in records[1:]:
            if record.plane == first.plane:
                box = box.union(record.box)
        zoom_to(self._viewer, self._link.project.image, box, first.plane)

    def take_up(self) -> None:
        """Correct the selected object."""
        records = self.selected
        if len(records) == 1:
            self._controller.take_up(records[0].id)

    def rename(self) -> None:
        """Edit the selected object's name in the table."""
        records = self.selected
        if len(records) == 1:
            self.view.edit_name_of(records[0].id)

    def _on_renamed(self, label: int, name: str) -> None:
        self._link.project.do(lambda state, _store: commands.rename_object(state, label, name))

    def set_class(self, class_id: int) -> None:
        """Give the selected objects this class."""
        ids = self._ids()
        if ids:
            self._link.project.do(lambda state, _store: commands.reclassify(state, ids, class_id))

    def toggle_hidden(self) -> None:
        """Hide the selected objects; show them when all are hidden."""
        ids, is_hidden = self._ids(), not _are_hidden(self.selected)
        if ids:
            self._link.project.do(lambda state, _store: commands.set_hidden(state, ids, is_hidden))

    def toggle_locked(self) -> None:
        """Lock the selected objects; unlock them when all are locked."""
        ids, is_locked = self._ids(), not _are_locked(self.selected)
        if ids:
            self._link.project.do(lambda state, _store: commands.set_locked(state, ids, is_locked))

    def delete(self) -> None:
        """Delete the selected objects."""
        ids = self._ids()
        if any(record.is_locked for record in self.selected):
            show_warning("Locked objects are not deleted; unlock them first.")
        elif ids:
            self._link.project.do(lambda state, store: commands.delete_objects(state, store, ids))

    def _ids(self) -> list[int]:
        return [record.id for record in self.selected]

    # --- menus -----------------------------------------------------------------------------

    def _on_menu(self, place: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        self.fill_menu(menu)
        menu.popup(place)

    def fill_menu(self, menu: QMenu) -> None:
        """What can be done with the selected objects."""
        for source in (
            self.zoom_button,
            self.take_up_button,
            self.rename_button,
            self.hide_button,
            self.lock_button,
            self.delete_button,
        ):
            action = menu.addAction(source.text())
            action.triggered.connect(source.click)
            action.setToolTip(source.toolTip())
            action.setEnabled(source.isEnabled())
        classes = menu.addMenu("Class")
        classes.setEnabled(self.class_button.isEnabled())
        self.fill_class_menu(classes)

    def fill_class_menu(self, menu: QMenu) -> None:
        """One entry for each class."""
        menu.clear()
        project = self._link.project
        for one in project.state.classes if project is not None else ():
            action = menu.addAction(swatch(one.color), one.name)
            action.triggered.connect(partial(self._on_class, one.id))

    def _on_class(self, class_id: int, _checked: bool = False) -> None:
        self.set_class(class_id)

    # --- end -------------------------------------------------------------------------------

    def close_down(self) -> None:
        """Let go of controller, project and layer."""
        if not self._is_closed:
            self._is_closed = True
            self._controller.selection_changed.disconnect(self._on_selected)
            self._link.close()


def _are_hidden(records: tuple[ObjectRecord, ...]) -> bool:
    return bool(records) and all(record.is_hidden for record in records)


def _are_locked(records: tuple[ObjectRecord, ...]) -> bool:
    return bool(records) and all(record.is_locked for record in records)
