"""Which bands of the image the network sees, and how they become colour; overviews."""

from __future__ import annotations

from functools import partial
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QSizePolicy, QVBoxLayout, QWidget

from napari_edgeflow.errors import EdgeFlowError
from napari_edgeflow.gui.bands import (
    BandFacts,
    band_facts,
    choose_bands,
    layer_levels,
    lazy_raster,
    show_view,
)
from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.files.opening import ask_and_open
from napari_edgeflow.gui.messages import in_words
from napari_edgeflow.gui.overviews import OverviewsRow
from napari_edgeflow.gui.panels.forms import button, form_layout, text_line
from napari_edgeflow.gui.planes import PlaneImage, plane_image, shown_plane
from napari_edgeflow.gui.worker import Worker
from napari_edgeflow.raster.stretch import Stretch
from napari_edgeflow.raster.view import RULES, BandView

_PRESETS = {
    "true-colour": "True colour",
    "false-colour-nir": "False colour, near infrared",
    "first": "First three bands",
}
_SINGLE, _THREE = "one band", "three bands"
_RULE_WORDS = {
    "full": "Balanced (0.1–99.9 %)",
    "strong": "Strong (2–98 %)",
    "extremes": "All values",
}
_LIMITS = "limits"
_COLOURS = ("Red", "Green", "Blue")
_SETTLE_MS = 200


class BandsPanel(QWidget):  # type: ignore[misc, unused-ignore]
    """Bands, stretch and gamma of the image that is clicked on; what it says is what is seen.

    Attributes:
        facts: Of the image; None while they are being read, or without an image.
    """

    def __init__(self, viewer: Any, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._controller = viewer, controller
        self.worker = Worker()
        self.facts: BandFacts | None = None
        self._image: Any = None
        self._is_filling = False
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self._apply)
        self._build()
        self.overviews = OverviewsRow(viewer, self._on_overviews)
        self._lay_out()
        controller.changed.connect(self._on_changed)
        self._on_changed()

    def _build(self) -> None:
        self.preset_box = _box("Bands that go together, by what the file says of them")
        self.preset_box.activated.connect(lambda _row: self._on_preset())
        tip = "Band that becomes {} for the network, and in the layer where it can show it"
        self.band_boxes = [_box(tip.format(colour.lower())) for colour in _COLOURS]
        for box in self.band_boxes:
            box.activated.connect(lambda _row: self._on_band())
        self.rule_box = _box(
            "How values become brightness: by one rule for the whole image, the same in every "
            "part of it and on the command line"
        )
        self.rule_box.setMinimumContentsLength(12)
        self.rule_box.activated.connect(lambda _row: self._apply())
        self.gamma = QDoubleSpinBox()
        self.gamma.setRange(0.2, 3.0)
        self.gamma.setSingleStep(0.1)
        self.gamma.setMinimumWidth(40)
        self.gamma.setToolTip("Below 1 brightens the middle, above 1 darkens it")
        self.gamma.valueChanged.connect(self._on_gamma)
        self.layer_button = button(
            "Show as a layer",
            "Add a colour layer of these bands, and click on it",
            self._on_show,
        )
        self.line = text_line("What the network sees of the image")
        self.open_button = button(
            "Open large raster…",
            "Open a TIFF, GeoTIFF, COG, OME-Zarr or whole-slide image of any size: only what is "
            "in view is read. For a zarr folder, choose the zarr.json or .zattrs in it",
            lambda: ask_and_open(self._viewer),
        )

    def _lay_out(self) -> None:
        self.choices = QWidget()
        form = form_layout(self.choices)
        form.addRow("Bands", self.preset_box)
        for colour, box in zip(_COLOURS, self.band_boxes, strict=True):
            form.addRow(colour, box)
        form.addRow("Stretch", self.rule_box)
        form.addRow("Gamma", self.gamma)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (
            self.open_button,
            self.choices,
            self.layer_button,
            self.line,
            self.overviews,
        ):
            layout.addWidget(part)
        self.layer_button.setVisible(False)

    # --- the image ---------------------------------------------------------------------------

    def _on_changed(self) -> None:
        image = self._controller.image
        if image is self._image:
            return
        self._follow(image)
        self.facts = None
        self.choices.setEnabled(False)
        self.line.setText("")
        if self.isVisible():
            self._read()

    def showEvent(self, event: Any) -> None:  # noqa: N802
        """Look at the image once somebody looks here."""
        super().showEvent(event)
        if self.facts is None:
            self._read()

    def _follow(self, image: Any) -> None:
        """Watch the layer's own limits, for the rule that takes them."""
        for layer, act in ((self._image, "disconnect"), (image, "connect")):
            if layer is not None:
                for name in ("contrast_limits", "gamma"):
                    getattr(getattr(layer.events, name), act)(self._on_limits)
        self._image = image

    def _read(self) -> None:
        """Look at the image's bands, in the worker."""
        image = self._plane_image()
        self.worker.cancel("bands")
        if image is None:
            return
        layer = self._image
        self.worker.submit(
            "facts",
            lambda _stop: band_facts(image),
            partial(self._on_facts, layer),
            lambda error: self.line.setText(in_words(error)),
        )

    def _plane_image(self) -> PlaneImage | None:
        if self._image is None:
            return None
        try:
            return plane_image(self._image, shown_plane(self._image, self._viewer.dims))
        except EdgeFlowError as error:
            self.line.setText(in_words(error))
            return None

    def _on_facts(self, layer: Any, facts: BandFacts) -> None:
        if layer is not self._image:
            return
        self.facts = facts
        self._is_filling = True
        _fill(self.preset_box, [(_PRESETS.get(n, n), n) for n, _ in facts.presets])
        if len(facts.names) > 2:
            self.preset_box.addItem("Three bands", _THREE)
        self.preset_box.addItem("One band", _SINGLE)
        for box in self.band_boxes:
            _fill(box, [(name, number) for number, name in enumerate(facts.names)])
        _fill(self.rule_box, [(_RULE_WORDS[rule], rule) for rule in RULES])
        if not layer.rgb:
            self.rule_box.addItem("As the layer shows it", _LIMITS)
        self._is_filling = False
        self.choices.setEnabled(True)
        self._show(facts.view)
        self.overviews.offer(layer, facts)

    # --- choices -----------------------------------------------------------------------------

    @property
    def bands(self) -> tuple[int, ...]:
        """The bands that the boxes say, one or three."""
        n = 1 if self.preset_box.currentData() == _SINGLE else 3
        return tuple(int(box.currentData()) for box in self.band_boxes[:n])

    def _on_preset(self) -> None:
        chosen = dict(self.facts.presets if self.facts else ()).get(self.preset_box.currentData())
        for box, band in zip(self.band_boxes, chosen or (), strict=False):
            box.setCurrentIndex(band)
        self._apply()

    def _on_band(self) -> None:
        if self.preset_box.currentData() != _SINGLE:
            self.preset_box.setCurrentIndex(self.preset_box.findData(self._preset_of(self.bands)))
        self._apply()

    def _preset_of(self, bands: tuple[int, ...]) -> str:
        presets = self.facts.presets if self.facts else ()
        names = [name for name, own in presets if own == bands]
        return names[0] if names else _SINGLE if len(bands) == 1 else _THREE

    def _on_gamma(self, _value: float) -> None:
        if not self._is_filling:
            self._settle.start()

    def _on_limits(self, _event: Any = None) -> None:
        if self.rule_box.currentData() == _LIMITS and not self._is_filling:
            self._settle.start()

    def _apply(self) -> None:
        """Work the choice out and show it."""
        image, layer = self._plane_image(), self._image
        if self._is_filling or self.facts is None or image is None or self.preset_box.count() == 0:
            return
        self._enable()
        if self.rule_box.currentData() == _LIMITS and not layer.rgb:
            self._on_view(layer, _as_shown(layer, self.bands[:1]))
            return
        job = partial(
            choose_bands, image, self.bands, str(self.rule_box.currentData()), self.gamma.value()
        )
        self.worker.submit(
            "bands",
            lambda _stop: job(),
            partial(self._on_view, layer),
            lambda error: show_error(in_words(error)),
        )

    def _on_view(self, layer: Any, view: BandView) -> None:
        if layer is not self._image or layer not in self._viewer.layers:
            return
        self._is_filling = True
        show_view(layer, view)
        self._is_filling = False
        self._show(view)
        self._controller.look_again()

    # --- what is shown -----------------------------------------------------------------------

    def _show(self, view: BandView | None) -> None:
        if view is None:
            self.line.setText("Two bands are seen as red and green; choose one.")
            return
        self._is_filling = True
        self.preset_box.setCurrentIndex(self.preset_box.findData(self._preset_of(view.bands)))
        for box, band in zip(self.band_boxes, view.bands, strict=False):
            box.setCurrentIndex(band)
        self.rule_box.setCurrentIndex(max(self.rule_box.findData(view.rule), 0))
        self.gamma.setValue(view.stretch.gamma)
        self._is_filling = False
        self._enable()
        self.line.setText(self._words(view))

    def _enable(self) -> None:
        is_single = len(self.bands) == 1
        for box in self.band_boxes[1:]:
            box.setEnabled(not is_single)
        is_grey = self._image is not None and not self._image.rgb
        has_file = self._image is not None and lazy_raster(self._image.data) is not None
        self.layer_button.setVisible(is_grey and has_file and not is_single)
        self.gamma.setEnabled(self.rule_box.currentData() != _LIMITS)

    def _words(self, view: BandView) -> str:
        names = self.facts.names if self.facts else ()
        parts = [
            f"{'grey' if len(view.bands) == 1 else colour.lower()} = {names[band]}, "
            f"{low:g} to {high:g}"
            for colour, band, low, high in zip(
                _COLOURS, view.bands, view.stretch.low, view.stretch.high, strict=False
            )
        ]
        nodata = view.stretch.nodata
        missing = f"; {nodata:g} is missing, shown black" if nodata is not None else ""
        return f"The network sees {'; '.join(parts)}{missing}."

    def _on_show(self) -> None:
        """A colour layer of the bands, clicked on from now on."""
        layer, raster = self._image, lazy_raster(self._image.data)
        view = layer.metadata.get("napari_edgeflow_view")
        if raster is None or not isinstance(view, BandView) or len(view.bands) != 3:
            return
        data = layer_levels(raster, view, is_rgb=True, is_multiscale=layer.multiscale)
        numbers = ", ".join(str(band + 1) for band in view.bands)
        made = self._viewer.add_image(
            data,
            rgb=True,
            multiscale=layer.multiscale,
            name=f"{raster.name} · bands {numbers}",
            scale=layer.scale,
            translate=layer.translate,
            units=layer.units,
            axis_labels=layer.axis_labels,
            metadata=dict(layer.metadata),
        )
        self._controller.bind(made)

    def _on_overviews(self) -> None:
        """They are there: read the image again."""
        self._read()

    def close_down(self) -> None:
        """Let go of image and controller; overviews that are being built are given up."""
        self._settle.stop()
        self._follow(None)
        self._controller.changed.disconnect(self._on_changed)
        self.overviews.close_down()
        self.worker.close()


def _as_shown(layer: Any, bands: tuple[int, ...]) -> BandView:
    low, high = (float(value) for value in layer.contrast_limits)
    return BandView(bands, Stretch((low,), (high,), float(layer.gamma)), _LIMITS)


def _box(tooltip: str) -> QComboBox:
    made = QComboBox()
    made.setToolTip(tooltip)
    made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    made.setMinimumContentsLength(8)
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return made


def _fill(box: QComboBox, items: list[tuple[str, Any]]) -> None:
    box.clear()
    for text, data in items:
        box.addItem(text, data)
