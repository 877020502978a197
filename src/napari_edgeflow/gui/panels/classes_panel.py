"""The classes: choose one for the next object, add, rename, recolour, reorder, remove, share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_info, show_warning
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QColorDialog,
    QComboBox,
    QFileDialog,
    QMenu,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_edgeflow.annotation import commands
from napari_edgeflow.annotation.changes import Change, State
from napari_edgeflow.annotation.classes import (
    ClassList,
    ObjectClass,
    Rgb,
    read_classes,
    write_classes,
)
from napari_edgeflow.gui.input.class_keys import DIGITS, ClassKeys
from napari_edgeflow.gui.labels.label_colors import LabelColors
from napari_edgeflow.gui.panels.class_tree import ClassTree
from napari_edgeflow.gui.panels.forms import button, row, text_line
from napari_edgeflow.gui.panels.remove_class import Fate, ask_fate
from napari_edgeflow.gui.projects.link import ProjectLink

_FILES = "Class lists (*.json *.txt)"
Edit = Callable[[ClassList], ClassList]


class ClassesPanel(QWidget):  # type: ignore[misc, unused-ignore]
    """List of the classes with buttons; every edit is a step of the project.

    Args:
        viewer: The napari viewer.
        controller: Has ``project``, ``class_id`` and ``selected_ids``.
        is_clicking: True while the click tool is on, so that plain digits choose a class.

    Attributes:
        ask_color: Given a class's colour, another one; None when the user changed their mind.
        ask_fate: Of a class's objects; likewise.
        ask_file: Given True to write, a path; likewise. Tests replace all three.
    """

    def __init__(
        self,
        viewer: Any,
        controller: Any,
        is_clicking: Callable[[], bool] = lambda: False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._controller = controller
        self._is_closed = False
        self._counts: Counter[int] = Counter()
        self.ask_color: Callable[[Rgb], Rgb | None] = self._ask_color
        self.ask_fate: Callable[[ObjectClass, int, Sequence[ObjectClass]], Fate | None] = partial(
            ask_fate, parent=self
        )
        self.ask_file: Callable[[bool], Path | None] = self._ask_file
        self._build()
        self._lay_out()
        self.colors = LabelColors(controller)
        self._keys = ClassKeys(viewer, self.choose_digit, self.give_digit, is_clicking)
        self._link = ProjectLink(controller, self._on_change)
        controller.changed.connect(self._refresh)
        self._link.start()
        self._refresh()

    # --- building --------------------------------------------------------------------------

    def _build(self) -> None:
        self.tree = ClassTree()
        self.tree.setToolTip(
            "The chosen class is that of the next object. Its digit chooses it (Alt + digit while "
            "another tool is in use), Ctrl + digit gives it to the selected objects. Double click "
            "or F2: rename. Drag: reorder."
        )
        self.tree.chosen.connect(self._on_chosen)
        self.tree.renamed.connect(self._on_renamed)
        self.tree.reordered.connect(lambda ids: self._edit(lambda c: c.reorder(ids)))
        self.add_button = button("Add", "Another class, with the next free digit", self.add)
        self.rename_button = button("Rename", "Another name for the class  [F2]", self.rename)
        self.color_button = button("Colour…", "Another colour for the class", self.recolor)
        self.remove_button = button(
            "Remove", "Remove the class; you are asked what becomes of its objects", self.remove
        )
        self.key_button = _menu_button("Key", "The digit that chooses the class", self._fill_keys)
        self.give_button = button(
            "Give to selected", "Give this class to the selected objects  [Ctrl + digit]", self.give
        )
        self.import_button = button(
            "Import…",
            "Classes of a JSON file, or of a text file as EISeg writes it; classes that objects "
            "have are kept",
            self.import_file,
        )
        self.export_button = button(
            "Export…", "Write the classes to a JSON file, or a text file as EISeg reads it",
            self.export_file,
        )  # fmt: skip
        self.color_box = QComboBox()
        self.color_box.addItem("Colour by object", "object")
        self.color_box.addItem("Colour by class", "class")
        self.color_box.setToolTip(
            "Labels in a colour for each object (instances), or in that of their class (semantic)"
        )
        self.color_box.setMinimumContentsLength(8)
        self.color_box.activated.connect(self._on_color_by)
        self.line = text_line("Class of the next object")

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for part in (
            self.tree,
            self.line,
            row(self.add_button, self.rename_button, self.color_button),
            row(self.key_button, self.remove_button, self.give_button),
            row(self.import_button, self.export_button),
            self.color_box,
        ):
            layout.addWidget(part)

    # --- following the project -------------------------------------------------------------

    @property
    def classes(self) -> ClassList:
        """Of the project; none without one."""
        return self._state.classes

    @property
    def _state(self) -> State:
        project = self._link.project
        return State() if project is None else project.state

    def _on_change(self, change: Change | None) -> None:
        if change is None or change.objects:
            self._counts = Counter(record.class_id for record in self._state.objects.values())
        self._keep_choice()
        self._refresh()

    def _keep_choice(self) -> None:
        """The chosen class must exist: the first one stands in for one that went."""
        classes = self.classes
        if len(classes) and self._controller.class_id not in classes:
            self._controller.class_id = classes.classes[0].id

    def _refresh(self) -> None:
        classes, current = self.classes, self._controller.class_id
        self.tree.show_classes(classes, self._counts, current)
        has_current = current in classes
        for one in (self.rename_button, self.color_button, self.key_button, self.give_button):
            one.setEnabled(has_current)
        self.remove_button.setEnabled(has_current and len(classes) > 1)
        for one in (self.add_button, self.import_button):
            one.setEnabled(self._link.project is not None)
        self.export_button.setEnabled(len(classes) > 0)
        name = classes.get(current).name if has_current else "none"
        self.line.setText(f"Next object: {name}")

    # --- choosing --------------------------------------------------------------------------

    def _on_chosen(self, class_id: int) -> None:
        self._controller.class_id = class_id
        self._refresh()

    def choose_digit(self, digit: int) -> None:
        """The class of this digit is that of the next object."""
        one = self._with_digit(digit)
        if one is not None:
            self._on_chosen(one.id)

    def give_digit(self, digit: int) -> None:
        """The selected objects get the class of this digit."""
        one = self._with_digit(digit)
        if one is not None:
            self._give(one.id)

    def give(self) -> None:
        """The selected objects get the chosen class."""
        self._give(self._controller.class_id)

    def _with_digit(self, digit: int) -> ObjectClass | None:
        return next((one for one in self.classes if one.shortcut == digit), None)

    def _give(self, class_id: int) -> None:
        ids = list(self._controller.selected_ids)
        if not ids:
            show_warning("Select objects in the table first.")
        else:
            self._link.project.do(lambda state, _store: commands.reclassify(state, ids, class_id))

    # --- editing ---------------------------------------------------------------------------

    def _edit(self, edit: Edit, then: Callable[[], object] = lambda: None) -> None:
        """Do an edit of the class list as a step."""
        self._link.project.do(
            lambda state, _store: commands.edit_classes(state, edit(state.classes)),
            lambda _change: then(),
        )

    def add(self) -> None:
        """Another class, chosen, with its name open for typing."""
        self._edit(lambda classes: classes.add(_free_name(classes)), self._on_added)

    def _on_added(self) -> None:
        self._on_chosen(self.classes.classes[-1].id)
        self.rename()

    def rename(self) -> None:
        """Edit the chosen class's name in the list."""
        self.tree.edit_name_of(self._controller.class_id)

    def _on_renamed(self, class_id: int, name: str) -> None:
        self._edit(lambda classes: classes.rename(class_id, name))

    def recolor(self) -> None:
        """Ask for another colour for the chosen class."""
        one = self.classes.get(self._controller.class_id)
        color = self.ask_color(one.color)
        if color is not None and color != one.color:
            self._edit(lambda classes: classes.recolor(one.id, color))

    def set_digit(self, digit: int | None) -> None:
        """Another digit for the chosen class, taken from whichever had it."""
        class_id = self._controller.class_id
        self._edit(lambda classes: classes.set_shortcut(class_id, digit))

    def remove(self) -> None:
        """Remove the chosen class, after asking what becomes of its objects."""
        one = self.classes.get(self._controller.class_id)
        if not self._counts[one.id]:
            self._edit(lambda classes: classes.without(one.id))
            return
        others = [other for other in self.classes if other != one]
        fate = self.ask_fate(one, self._counts[one.id], others)
        if fate is None:
            return
        if fate == "delete":
            self._link.project.do(
                lambda state, store: commands.remove_class_and_objects(state, store, one.id)
            )
        else:
            self._link.project.do(lambda state, _store: commands.remove_class(state, one.id, fate))

    def _ask_color(self, color: Rgb) -> Rgb | None:
        found = QColorDialog.getColor(QColor(*color), self, "Colour of the class")
        return (found.red(), found.green(), found.blue()) if found.isValid() else None

    def _fill_keys(self, menu: QMenu) -> None:
        for digit in (None, *DIGITS[1:], 0):
            owner = None if digit is None else self._with_digit(digit)
            text = "none" if digit is None else str(digit)
            action = menu.addAction(text + (f"  ({owner.name})" if owner else ""))
            action.triggered.connect(partial(self._on_key, digit))

    def _on_key(self, digit: int | None, _checked: bool = False) -> None:
        self.set_digit(digit)

    # --- files and colours -----------------------------------------------------------------

    def _ask_file(self, is_written: bool) -> Path | None:
        if is_written:
            text, _ = QFileDialog.getSaveFileName(self, "Export classes", "classes.json", _FILES)
        else:
            text, _ = QFileDialog.getOpenFileName(self, "Import classes", "", _FILES)
        path = Path(text)
        return (path if path.suffix else path.with_suffix(".json")) if text else None

    def import_file(self) -> None:
        """Ask for a file and take its classes; those that objects have stay."""
        path = self.ask_file(False)
        if path is None:
            return
        self._link.project.do(lambda state, _store: _import(state, path))

    def export_file(self) -> None:
        """Ask for a file and write the classes."""
        path = self.ask_file(True)
        if path is None:
            return
        classes = self.classes
        self._link.project.run(
            lambda _history: write_classes(path, classes), partial(_say_written, path)
        )

    def _on_color_by(self, _row: int = 0) -> None:
        self.colors.color_by = self.color_box.currentData()

    # --- end -------------------------------------------------------------------------------

    def close_down(self) -> None:
        """Let go of viewer, controller, project and layer."""
        if not self._is_closed:
            self._is_closed = True
            self._keys.close()
            self.colors.close()
            self._controller.changed.disconnect(self._refresh)
            self._link.close()


def _import(state: State, path: Path) -> Change:
    """The step that takes a file's classes; reads it, in the worker."""
    used = {record.class_id for record in state.objects.values()}
    found = read_classes(path).with_digits()
    return commands.edit_classes(state, state.classes.replaced_by(found, used))


def _say_written(path: Path, notes: tuple[str, ...]) -> None:
    show_info("; ".join((f"Classes written to {path}", *notes)))


def _free_name(classes: ClassList) -> str:
    """``class 2``, or the next number that no class is called by."""
    number = len(classes) + 1
    while classes.named(f"class {number}") is not None:
        number += 1
    return f"class {number}"


def _menu_button(text: str, tooltip: str, fill: Callable[[QMenu], object]) -> QPushButton:
    """A button whose menu is filled when it opens."""
    made = QPushButton(text)
    made.setToolTip(tooltip)
    made.setMinimumWidth(40)
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    menu = QMenu(made)

    def refill() -> None:
        menu.clear()
        fill(menu)

    menu.aboutToShow.connect(refill)
    made.setMenu(menu)
    return made
