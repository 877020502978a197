"""The widget's import and download of models, in a real window."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QMenu

from napari_edgeflow.errors import Cancelled, WeightsError
from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.nn.edgeflow import EdgeFlow, EdgeFlowConfig
from napari_edgeflow.nn.hrnet import HRNetConfig
from napari_edgeflow.zoo import build, convert, install, store
from napari_edgeflow.zoo.catalog import find_model
from napari_edgeflow.zoo.install import Installed
from napari_edgeflow.zoo.published import PUBLISHED

from .canvas import click
from .fakes import PATIENCE_S, FakePredictor, squares

TINY = EdgeFlowConfig(HRNetConfig(2, 1, 1, 1, 1), 4, align_channels=4, fine_width=4)
OpenWidget = Callable[..., Any]
Settle = Callable[[Controller], None]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's model folder; one small network is registered."""
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "models"))
    for module in (build, convert):
        monkeypatch.setattr(module, "REGISTRY", {"tiny": TINY})
    return tmp_path / "models"


@pytest.fixture
def widget(open_widget: OpenWidget, models: Path, qtbot: Any) -> Iterator[Any]:
    opened = open_widget(squares())
    yield opened
    opened.weights.close_down()
    qtbot.waitUntil(lambda: not opened.weights.worker.is_alive, timeout=PATIENCE_S * 1000)


@pytest.fixture
def wait_idle(qtbot: Any) -> Callable[[Any], None]:
    def wait(widget: Any) -> None:
        worker = widget.weights.worker
        qtbot.waitUntil(lambda: not worker.is_busy, timeout=PATIENCE_S * 1000)

    return wait


def _press(control: Any) -> None:
    QTest.mouseClick(control, Qt.MouseButton.LeftButton)


def _choices(widget: Any) -> list[str]:
    return [widget.model_box.itemText(row) for row in range(widget.model_box.count())]


def _checkpoint(folder: Path) -> Path:
    path = folder / "mine.pth"
    torch.save({"state_dict": EdgeFlow(TINY).state_dict()}, path)
    return path


def _entry(menu: QMenu, name: str) -> Any:
    (action,) = [action for action in menu.actions() if action.text().startswith(f"{name} ")]
    return action


def test_an_imported_file_can_be_chosen_at_once(
    widget: Any, tmp_path: Path, wait_idle: Callable[[Any], None], settle: Settle
) -> None:
    widget.weights.choose_file = lambda: str(_checkpoint(tmp_path))
    before = _choices(widget)
    _press(widget.weights.import_button)
    assert not widget.weights.import_button.isEnabled()
    wait_idle(widget)
    settle(widget.controller)
    assert _choices(widget) == [*before, "mine"]
    assert widget.model_box.currentText() == widget.controller.model == "mine"
    assert find_model("mine").network == "tiny"
    assert widget.weights.line.text() == "Imported as mine."
    assert widget.weights.import_button.isEnabled()
    _press(widget.weights.import_button)
    wait_idle(widget)
    assert _choices(widget) == [*before, "mine", "mine-2"]


def test_nothing_chosen_does_nothing(widget: Any) -> None:
    widget.weights.choose_file = lambda: ""
    _press(widget.weights.import_button)
    assert not widget.weights.worker.is_busy
    assert widget.weights.import_button.isEnabled()


def test_a_refused_file_is_a_message(
    widget: Any, tmp_path: Path, wait_idle: Callable[[Any], None], messages: list[str]
) -> None:
    (tmp_path / "page.pth").write_text("<html>Sign in</html>")
    widget.weights.choose_file = lambda: str(tmp_path / "page.pth")
    before = _choices(widget)
    _press(widget.weights.import_button)
    wait_idle(widget)
    assert any("a web page saved in its place" in text for text in messages)
    assert _choices(widget) == before
    assert widget.weights.import_button.isEnabled()


def test_an_object_being_clicked_keeps_its_model(
    widget: Any, tmp_path: Path, wait_idle: Callable[[Any], None], settle: Settle
) -> None:
    widget.tool_button.setChecked(True)
    click(widget.viewer, (15, 20))
    settle(widget.controller)
    widget.weights.choose_file = lambda: str(_checkpoint(tmp_path))
    _press(widget.weights.import_button)
    wait_idle(widget)
    assert _choices(widget)[-1] == "mine"
    assert widget.model_box.currentText() == widget.controller.model == "fake"


class _Download:
    """Stands for ``download_model``: reports, then waits until it is told or stopped."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.started = threading.Event()
        self.was_stopped = threading.Event()
        self.failure: Exception | None = None
        self.model: Any = None

    def __call__(self, name: str, *, progress: Any, should_stop: Any) -> Installed:
        progress(0, 3_000_000_000)
        progress(3_000_000_000, 3_000_000_000)
        self.started.set()
        while not self.go_on.wait(0.01):
            if should_stop():
                self.was_stopped.set()
                raise Cancelled("stopped")
        if self.failure is not None:
            raise self.failure
        return Installed(self.model, "ab" * 32, True)


@pytest.fixture
def download(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Download]:
    made = _Download()
    monkeypatch.setattr(install, "download_model", made)
    yield made
    made.go_on.set()


def test_a_download_with_progress(
    widget: Any,
    tmp_path: Path,
    download: _Download,
    qtbot: Any,
    wait_idle: Callable[[Any], None],
    settle: Settle,
    messages: list[str],
    predictor: FakePredictor,
) -> None:
    panel, item = widget.weights, PUBLISHED[0]
    panel.fill_menu()
    assert len(panel.menu.actions()) == len(PUBLISHED)
    _entry(panel.menu, item.name).trigger()
    qtbot.waitUntil(lambda: panel.progress.value() == 1000, timeout=PATIENCE_S * 1000)
    assert panel.progress.isVisible()
    assert panel.stop_button.isEnabled()
    widget.tool_button.setChecked(True)
    click(widget.viewer, (15, 20))
    settle(widget.controller)
    assert predictor.runs == 1, "clicks must be answered while the download goes on"
    widget.controller.reset()
    download.model = convert.import_weights(_checkpoint(tmp_path), item.name)
    download.go_on.set()
    wait_idle(widget)
    assert widget.model_box.currentText() == item.name
    assert not panel.progress.isVisible()
    assert any("ab" * 32 in text for text in messages)
    panel.fill_menu()
    assert not _entry(panel.menu, item.name).isEnabled()
    assert _entry(panel.menu, PUBLISHED[1].name).isEnabled()


def test_a_download_is_stopped(
    widget: Any, download: _Download, messages: list[str], wait_idle: Callable[[Any], None]
) -> None:
    panel = widget.weights
    panel.fill_menu()
    before = _choices(widget)
    _entry(panel.menu, PUBLISHED[0].name).trigger()
    assert download.started.wait(PATIENCE_S)
    _press(panel.stop_button)
    assert panel.download_button.isEnabled()
    assert "goes on from there" in panel.line.text()
    assert download.was_stopped.wait(PATIENCE_S)
    wait_idle(widget)
    assert _choices(widget) == before
    assert messages == []
    assert not panel.progress.isVisible()


def test_a_download_that_fails(
    widget: Any, download: _Download, messages: list[str], wait_idle: Callable[[Any], None]
) -> None:
    panel = widget.weights
    panel.fill_menu()
    download.failure = WeightsError("no way there; get it elsewhere")
    download.go_on.set()
    _entry(panel.menu, PUBLISHED[0].name).trigger()
    wait_idle(widget)
    assert messages == ["no way there; get it elsewhere"]
    assert panel.download_button.isEnabled()


def test_closing_the_dock_stops_the_download(widget: Any, download: _Download, qtbot: Any) -> None:
    panel = widget.weights
    panel.fill_menu()
    _entry(panel.menu, PUBLISHED[0].name).trigger()
    assert download.started.wait(PATIENCE_S)
    widget.viewer.window.remove_dock_widget(widget)
    assert download.was_stopped.wait(PATIENCE_S)
    qtbot.waitUntil(lambda: not panel.worker.is_alive, timeout=PATIENCE_S * 1000)
