"""Rows for what can be chosen about an export format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QSizePolicy,
    QWidget,
)

if TYPE_CHECKING:
    from napari_edgeflow.export.options import ExportOption, OptionValue

_HIGHEST = 1_000_000.0


class OptionForm(QWidget):  # type: ignore[misc, unused-ignore]
    """A row for each option; values stay when another format is looked at in between."""

    def __init__(self) -> None:
        super().__init__()
        self._layout = QFormLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self._options: tuple[ExportOption, ...] = ()
        self._controls: dict[str, QWidget] = {}
        self._kept: dict[tuple[str, str], OptionValue] = {}
        self._form = ""

    def show_options(
        self, form: str, options: Sequence[ExportOption], map_unit: str = "map units"
    ) -> None:
        """Show these instead.

        Args:
            form: The format's name.
            options: Its options; the form hides without any.
            map_unit: What the units of the image's CRS are called.
        """
        self._keep()
        while self._layout.rowCount():
            self._layout.removeRow(0)
        self._form, self._options = form, tuple(options)
        self._controls = {}
        for option in options:
            control = self._control(option, map_unit)
            control.setToolTip(option.summary)
            self._controls[option.name] = control
            self._layout.addRow(option.title, control)
            self._layout.labelForField(control).setToolTip(option.summary)
        self.setVisible(bool(options))

    @property
    def values(self) -> dict[str, OptionValue]:
        """The value of each option, by name."""
        return {name: _value(control) for name, control in self._controls.items()}

    def _keep(self) -> None:
        self._kept |= {(self._form, name): value for name, value in self.values.items()}

    def _control(self, option: ExportOption, map_unit: str) -> QWidget:
        value = self._kept.get((self._form, option.name), option.default)
        if isinstance(option.default, bool):
            box = QCheckBox()
            box.setChecked(value is True)
            return box
        if isinstance(option.default, str):
            combo = QComboBox()
            combo.addItems(list(option.choices))
            combo.setCurrentText(str(value))
            combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            return combo
        number = QDoubleSpinBox()
        number.setRange(0, _HIGHEST)
        number.setDecimals(6 if option.unit == "map" else 0 if option.name == "part" else 2)
        unit = map_unit if option.unit == "map" else option.unit
        number.setSuffix(f" {unit}" if unit else "")
        number.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        number.setValue(float(value))
        number.setMinimumWidth(80)
        return number


def _value(control: QWidget) -> OptionValue:
    if isinstance(control, QCheckBox):
        return bool(control.isChecked())
    if isinstance(control, QComboBox):
        return str(control.currentText())
    assert isinstance(control, QDoubleSpinBox)
    return float(control.value())
