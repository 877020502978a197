"""Small squares of colour beside a name."""

from __future__ import annotations

from qtpy.QtGui import QColor, QIcon, QPixmap

from napari_edgeflow.annotation.classes import Rgb

_SIDE = 14


def swatch(color: Rgb) -> QIcon:
    """A square of this colour."""
    picture = QPixmap(_SIDE, _SIDE)
    picture.fill(QColor(*color))
    icon = QIcon(picture)
    icon.addPixmap(picture, QIcon.Mode.Selected)  # else it is tinted in a selected row
    return icon
