"""The bands panel in a real window: the panel, the layer, the network and the file agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.gui.bands import layer_view, open_plane
from napari_edgeflow.gui.files.reader import read_image
from napari_edgeflow.gui.panels.bands_panel import BandsPanel
from napari_edgeflow.gui.planes import PlaneImage, plane_image, shown_plane
from napari_edgeflow.raster.open import open_raster
from napari_edgeflow.raster.stretch import estimate_stretch

from .fakes import PATIENCE_S, FakeSession, squares
from .test_reader import _satellite


@pytest.fixture
def open_panel(open_widget: Callable[..., Any], qtbot: Any) -> Iterator[Callable[..., Any]]:
    """(panel, viewer, layers) of a window with the panel docked, once it has read the image."""
    panels: list[BandsPanel] = []

    def make(path: Path | None = None, image: AnyArray | None = None) -> Any:
        widget = open_widget(image, show=True)
        viewer, control = widget.viewer, widget.controller
        if path is not None:
            for data, options, _ in read_image(path):
                viewer.add_image(data, **options)
        panel = BandsPanel(viewer, control)
        panels.append(panel)
        viewer.window.add_dock_widget(panel, name="Bands")
        control.bind(viewer.layers[0])
        _settle(panel, qtbot)
        return panel, viewer, widget

    yield make
    for panel in panels:
        panel.close_down()
        for worker in (panel.worker, panel.overviews.worker):
            qtbot.waitUntil(lambda w=worker: not w.is_alive, timeout=PATIENCE_S * 1000)


def _settle(panel: BandsPanel, qtbot: Any) -> None:
    qtbot.waitUntil(
        lambda: panel.facts is not None and not panel.worker.is_busy and not _waits(panel),
        timeout=PATIENCE_S * 1000,
    )


def _waits(panel: BandsPanel) -> bool:
    return bool(panel._settle.isActive())


def _choose(box: Any, data: Any, qtbot: Any, panel: BandsPanel) -> None:
    row = box.findData(data)
    assert row >= 0
    box.setCurrentIndex(row)
    box.activated.emit(row)
    _settle(panel, qtbot)


def _whole(raster: Any) -> Window:
    return Window(0, 0, *raster.shape)


def _check_agreement(panel: BandsPanel, viewer: Any, path: Path, bands: tuple[int, ...]) -> None:
    """The layer shows, and the network gets, what the file gives headless."""
    layer = viewer.layers[0]
    view = layer_view(layer)
    assert view is not None
    assert view.bands == bands
    with open_raster(path) as raster:
        expected = view.stretch.apply(raster.read(_whole(raster), bands=bands))
    source, seen = open_plane(plane_image(layer, shown_plane(layer, viewer.dims)))
    assert seen == view
    got = seen.stretch.apply(source.read(_whole(source), bands=seen.bands))
    np.testing.assert_array_equal(got, expected)
    assert np.abs(np.asarray(layer.data) / 255 - expected).max() <= 0.5 / 255 + 1e-6


def test_bands_and_stretch_of_a_map(
    open_panel: Callable[..., Any], tmp_path: Path, qtbot: Any
) -> None:
    path = _satellite(tmp_path / "a.tif")
    panel, viewer, _ = open_panel(path)
    assert panel.preset_box.currentText() == "True colour"
    assert panel.band_boxes[0].itemText(3) == "4: nir"
    assert "red = 3: red" in panel.line.text()
    assert "65535 is missing" in panel.line.text()
    _check_agreement(panel, viewer, path, (2, 1, 0))
    _choose(panel.preset_box, "false-colour-nir", qtbot, panel)
    _check_agreement(panel, viewer, path, (3, 2, 1))
    _choose(panel.band_boxes[2], 4, qtbot, panel)
    assert panel.preset_box.currentText() == "Three bands"
    _check_agreement(panel, viewer, path, (3, 2, 4))
    _choose(panel.rule_box, "strong", qtbot, panel)
    panel.gamma.setValue(0.6)
    _settle(panel, qtbot)
    _check_agreement(panel, viewer, path, (3, 2, 4))
    with open_raster(path) as raster:
        headless = estimate_stretch(raster, (3, 2, 4), percentiles=(2, 98), gamma=0.6)
    view = layer_view(viewer.layers[0])
    assert view is not None
    assert view.stretch == headless
    _choose(panel.preset_box, "one band", qtbot, panel)
    _check_agreement(panel, viewer, path, (3,))
    assert [box.isEnabled() for box in panel.band_boxes] == [True, False, False]
    assert panel.line.text().startswith("The network sees grey = 4: nir")


def test_a_channel_layer_follows_its_limits(
    open_panel: Callable[..., Any], tmp_path: Path, qtbot: Any
) -> None:
    path = tmp_path / "a.ome.tif"
    pixels = np.random.default_rng(3).integers(0, 900, (4, 60, 80), dtype=np.uint16)
    tifffile.imwrite(path, pixels, metadata={"axes": "CYX"})
    panel, viewer, _ = open_panel(path)
    layer = viewer.layers[0]
    assert panel.preset_box.currentText() == "One band"
    _choose(panel.band_boxes[0], 2, qtbot, panel)
    np.testing.assert_array_equal(np.asarray(layer.data), pixels[2])
    _choose(panel.rule_box, "limits", qtbot, panel)
    layer.contrast_limits = (100, 500)
    layer.gamma = 0.5
    _settle(panel, qtbot)
    view = layer_view(layer)
    assert view is not None
    assert (view.bands, view.stretch.low, view.stretch.high) == ((2,), (100.0,), (500.0,))
    assert view.stretch.gamma == 0.5
    assert "100 to 500" in panel.line.text()


def test_three_channels_become_a_layer_of_their_own(
    open_panel: Callable[..., Any], tmp_path: Path, qtbot: Any
) -> None:
    path = tmp_path / "a.ome.tif"
    pixels = np.random.default_rng(3).integers(0, 900, (4, 60, 80), dtype=np.uint16)
    tifffile.imwrite(path, pixels, metadata={"axes": "CYX"})
    panel, viewer, widget = open_panel(path)
    assert not panel.layer_button.isVisible()
    _choose(panel.preset_box, "first", qtbot, panel)
    _choose(panel.band_boxes[0], 3, qtbot, panel)
    np.testing.assert_array_equal(np.asarray(viewer.layers[0].data), pixels[0])  # as it was
    assert panel.layer_button.isVisible()
    panel.layer_button.click()
    made = widget.controller.image
    assert made.rgb
    assert made.name == "a.ome.tif · bands 4, 2, 3"
    view = layer_view(made)
    assert view is not None
    expected = view.stretch.apply(pixels[[3, 1, 2]].transpose(1, 2, 0))
    assert np.abs(np.asarray(made.data) / 255 - expected).max() <= 0.5 / 255 + 1e-6


def test_the_mask_is_asked_for_anew(
    open_widget: Callable[..., Any], qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    views: list[Any] = []

    class Noting(FakeSession):
        def __init__(self, image: PlaneImage, *rest: Any) -> None:
            views.append(image.view)
            super().__init__(image, *rest)

    widget = open_widget(squares(), session=Noting)
    control = widget.controller
    panel = BandsPanel(widget.viewer, control)
    qtbot.addWidget(panel)
    assert not panel.worker.is_busy  # nobody looks at it: nothing is read
    panel.show()
    _settle(panel, qtbot)
    widget.tool_button.setChecked(True)
    control.click((15, 20), "positive")
    qtbot.waitUntil(lambda: not control.worker.is_busy, timeout=PATIENCE_S * 1000)
    _choose(panel.rule_box, "strong", qtbot, panel)
    qtbot.waitUntil(lambda: not control.worker.is_busy, timeout=PATIENCE_S * 1000)
    assert views[0] is None
    assert views[-1] == layer_view(control.image)
    assert control.active is not None
    assert control.active.prediction is not None
    panel.close_down()
    qtbot.waitUntil(lambda: not panel.worker.is_alive, timeout=PATIENCE_S * 1000)


def _plain(path: Path) -> Path:
    """2 500 × 1 200 px, striped, no levels, one band."""
    pixels = np.random.default_rng(3).integers(0, 200, (2500, 1200), dtype=np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=2500, width=1200, dtype=np.uint8
    ) as dataset:
        dataset.write(pixels, 1)
    return path


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_overviews_are_built_and_shown(
    open_panel: Callable[..., Any], tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_edgeflow.raster.lazy.LARGEST_SINGLE_SIDE", 1000)
    path = _plain(tmp_path / "a.tif")
    panel, viewer, _ = open_panel(path)
    layer, row = viewer.layers[0], panel.overviews
    assert layer.multiscale
    assert row.isVisible()
    assert "rough mosaic" in row.line.text()
    row.build_button.click()
    assert row.stop_button.isVisible()
    qtbot.waitUntil(lambda: not row.worker.is_busy, timeout=PATIENCE_S * 1000)
    _settle(panel, qtbot)
    assert (tmp_path / "a.tif.overviews.tif").exists()
    with open_raster(path) as raster:
        assert len(raster.levels) > 2
        for number, level in enumerate(raster.levels):
            pixels = raster.read(Window(0, 0, *level.shape), number)[:, :, 0]
            np.testing.assert_array_equal(np.asarray(layer.data[number]), pixels)
    assert not row.isVisible()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_overviews_can_be_stopped(
    open_panel: Callable[..., Any], tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_edgeflow.raster.lazy.LARGEST_SINGLE_SIDE", 1000)
    path = _plain(tmp_path / "a.tif")
    panel, _, _ = open_panel(path)
    row = panel.overviews
    row.build_button.click()
    row.stop_button.click()
    qtbot.waitUntil(lambda: not row.worker.is_busy, timeout=PATIENCE_S * 1000)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.tif"]
    assert row.build_button.isVisible()
    assert "Stopped" in row.line.text()


def test_every_control_says_what_it_does(open_panel: Callable[..., Any]) -> None:
    panel, _, _ = open_panel(image=squares())
    for control in (
        panel.preset_box, *panel.band_boxes, panel.rule_box, panel.gamma,
        panel.layer_button, panel.open_button,
        panel.line, panel.overviews.build_button, panel.overviews.stop_button, panel.overviews.bar,
    ):  # fmt: skip
        assert control.toolTip()
    assert panel.minimumSizeHint().width() <= 300
