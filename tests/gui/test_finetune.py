"""Finished objects become a data set; a process learns from them; the panel tells how it went."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from napari.layers import Image, Labels

from napari_edgeflow.data.folder import FolderDataset
from napari_edgeflow.gui.finetune import Improvement, command
from napari_edgeflow.gui.finetune_objects import find_layers, write_objects
from napari_edgeflow.gui.panels.finetune_panel import FinetunePanel, free_name
from napari_edgeflow.zoo.build import save_weights

from .fakes import PATIENCE_S, squares

OpenWidget = Callable[..., Any]

# Stands for the training: chatter, two lines of progress, the result; or it fails or hangs.
FAKE = """
import json, sys, time
how = sys.argv[1]
print("a library says hello", flush=True)
print(json.dumps({"stage": "before", "progress": 0.25, "text": "judging"}), flush=True)
if how == "hang":
    time.sleep(600)
if how == "fail":
    print("Error: the new model is not better", file=sys.stderr)
    sys.exit(2)
if how == "crash":
    print("Killed", file=sys.stderr)
    sys.exit(9)
done = {"stage": "done", "progress": 1.0, "model": "fake-mine", "text": "3.00 before, 2.00 after"}
print(json.dumps(done), flush=True)
"""


def _labels(n: int = 4) -> Any:
    labels = np.zeros((60, 80), np.uint16)
    for number in range(n):
        labels[10:25, 3 + 12 * number : 10 + 12 * number] = 7 + number
    return labels


# --- the process ---------------------------------------------------------------------------


@pytest.fixture
def improvement(qtbot: Any) -> Iterator[tuple[Improvement, list[tuple[Any, ...]]]]:
    """A process to be started, and all that it says."""
    made = Improvement()
    said: list[tuple[Any, ...]] = []
    made.progressed.connect(lambda share, text: said.append((share, text)))
    made.succeeded.connect(lambda model, text: said.append(("done", model, text)))
    made.failed.connect(lambda reason: said.append(("failed", reason)))
    yield made, said
    made.close()


def _fake(how: str) -> list[str]:
    return [sys.executable, "-c", FAKE, how]


@pytest.mark.parametrize(
    ("arguments", "end"),
    [
        (_fake("succeed"), ("done", "fake-mine", "3.00 before, 2.00 after")),
        (_fake("fail"), ("failed", "the new model is not better")),
        (_fake("crash"), ("failed", "The training ended unexpectedly (status 9): Killed")),
    ],
    ids=["succeed", "fail", "crash"],
)
def test_what_a_process_says(
    improvement: tuple[Improvement, list[Any]], qtbot: Any, arguments: list[str], end: Any
) -> None:
    made, said = improvement
    made.start(arguments)
    assert made.is_running
    qtbot.waitUntil(lambda: not made.is_running, timeout=PATIENCE_S * 1000)
    assert said[0] == (0.25, "judging")
    assert said[-1] == end
    assert len([line for line in said if line[0] in ("done", "failed")]) == 1


def test_a_process_is_cancelled(improvement: tuple[Improvement, list[Any]], qtbot: Any) -> None:
    made, said = improvement
    made.start(_fake("hang"))
    with pytest.raises(RuntimeError, match="one is running"):
        made.start(_fake("hang"))
    qtbot.waitUntil(lambda: bool(said), timeout=PATIENCE_S * 1000)
    made.cancel()
    qtbot.waitUntil(lambda: not made.is_running, timeout=PATIENCE_S * 1000)
    assert said == [(0.25, "judging"), ("failed", "")]


def test_a_program_that_is_not_there(
    improvement: tuple[Improvement, list[Any]], qtbot: Any
) -> None:
    made, said = improvement
    made.start(["/no/such/program"])
    qtbot.waitUntil(lambda: bool(said), timeout=PATIENCE_S * 1000)
    assert not made.is_running
    assert said[0][1].startswith("The training could not be started")


def test_the_real_command_is_understood(
    improvement: tuple[Improvement, list[Any]], qtbot: Any, tmp_path: Path
) -> None:
    """It gets as far as the objects, of which there are too few."""
    made, said = improvement
    write_objects(
        find_layers([Image(squares()), Labels(_labels(2))], lambda _layer: False),
        tmp_path / "objects",
    )
    options = {"model": "default", "minutes": 0.1, "name": "mine"}
    made.start(command(tmp_path / "objects", out=tmp_path / "out", **options))  # type: ignore[arg-type]
    qtbot.waitUntil(lambda: not made.is_running, timeout=PATIENCE_S * 1000)
    assert said[-1][0] == "failed"
    assert "at least 4 objects" in said[-1][1]
    assert "got 2; finish a few more" in said[-1][1]


# --- the panel -----------------------------------------------------------------------------


@pytest.fixture
def open_panel(
    open_widget: OpenWidget, qtbot: Any, tmp_path: Path
) -> Iterator[Callable[[str], FinetunePanel]]:
    opened: list[FinetunePanel] = []
    started: list[dict[str, Any]] = []

    def make(how: str) -> FinetunePanel:
        widget = open_widget(squares())

        def new_command(data: Path, **options: Any) -> list[str]:
            started.append({"data": data, **options})
            return _fake(how)

        panel = FinetunePanel(widget.viewer, widget.controller, lambda: tmp_path, new_command)
        panel.started = started  # type: ignore[attr-defined]
        opened.append(panel)
        return panel

    yield make
    for panel in opened:
        panel.close_down()
        panel.deleteLater()


def test_improve_on_the_objects_of_the_viewer(
    open_panel: Callable[[str], FinetunePanel], qtbot: Any, messages: list[str]
) -> None:
    panel = open_panel("succeed")
    added: list[str] = []
    panel.model_added.connect(added.append)
    panel.start()
    assert any("Finish some objects first" in text for text in messages)
    panel._viewer.add_labels(_labels())
    panel.minutes_box.setValue(2.5)
    panel.start()
    assert not panel.start_button.isEnabled()
    assert panel.stop_button.isEnabled()
    qtbot.waitUntil(lambda: bool(added), timeout=PATIENCE_S * 1000)
    (options,) = panel.started  # type: ignore[attr-defined]
    assert (options["model"], options["name"], options["minutes"]) == ("fake", "fake-mine", 2.5)
    (sample,) = FolderDataset(options["data"])
    np.testing.assert_array_equal(sample.image, squares())
    assert added == ["fake-mine"]
    assert panel.line.text() == "3.00 before, 2.00 after"
    assert panel.start_button.isEnabled()
    assert not panel.stop_button.isEnabled()


def test_the_panel_counts_and_takes_the_objects_of_projects(
    open_panel: Callable[[str], FinetunePanel], qtbot: Any, settle: Any, messages: list[str]
) -> None:
    """Two that were clicked, and those of a layer that no project has."""
    panel = open_panel("succeed")
    controller = panel._controller
    qtbot.addWidget(panel)
    panel.show()
    assert panel.count_line.text() == "No objects found; at least 4 are needed."
    for place in ((15, 20), (40, 50)):
        controller.click(place, "positive")
        settle(controller)
        controller.finish()
        settle(controller)
    assert panel.count_line.text() == "2 objects found; at least 4 are needed."
    panel.start()
    qtbot.waitUntil(lambda: panel.start_button.isEnabled(), timeout=PATIENCE_S * 1000)
    assert "4 finished objects of 24 px are needed to learn from, and 2 were" in messages[-1]
    assert panel.line.text() == messages[-1]
    assert not panel.started  # type: ignore[attr-defined]
    panel._viewer.add_image(squares() + np.uint8(9), name="second")
    panel._viewer.add_labels(_labels(3), name="from elsewhere")
    qtbot.waitUntil(
        lambda: panel.count_line.text().startswith("5 objects found"), timeout=PATIENCE_S * 1000
    )
    panel.start()
    qtbot.waitUntil(lambda: bool(panel.started), timeout=PATIENCE_S * 1000)  # type: ignore[attr-defined]
    (options,) = panel.started  # type: ignore[attr-defined]
    found = {int(one.image[0, 0]): one for one in FolderDataset(options["data"])}
    assert found[0].areas() == {1: 300, 2: 450}
    assert found[9].areas() == {1: 105, 2: 105, 3: 105}
    qtbot.waitUntil(lambda: panel.start_button.isEnabled(), timeout=PATIENCE_S * 1000)


def test_a_new_model_never_takes_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NAPARI_EDGEFLOW_MODELS", str(tmp_path))
    assert free_name("cells-18") == "cells-18-mine"
    for name in ("cells-18-mine", "cells-18-mine2"):
        (tmp_path / f"{name}.safetensors").touch()
    assert free_name("cells-18") == free_name("cells-18-mine") == "cells-18-mine3"
    assert free_name("other") == "other-mine"


def test_the_window_offers_the_new_model(
    open_widget: OpenWidget, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NAPARI_EDGEFLOW_MODELS", str(tmp_path))
    widget = open_widget(squares())
    metadata = {"network": "edgeflow-18s", "summary": "improved"}
    save_weights({"w": torch.zeros(1)}, tmp_path / "fake-mine.safetensors", metadata)
    widget.finetune.model_added.emit("fake-mine")
    assert widget.model_box.currentText() == widget.controller.model == "fake-mine"
    assert not widget.finetune.start_button.isHidden()  # offered again once its section is open


def test_a_refusal_is_shown(
    open_panel: Callable[[str], FinetunePanel], qtbot: Any, messages: list[str]
) -> None:
    panel = open_panel("fail")
    panel._viewer.add_labels(_labels())
    panel.start()
    qtbot.waitUntil(lambda: panel.start_button.isEnabled(), timeout=PATIENCE_S * 1000)
    assert panel.line.text() == "The new model is not better"
    assert "The new model is not better" in messages


def test_stop_and_close(
    open_panel: Callable[[str], FinetunePanel], qtbot: Any, messages: list[str]
) -> None:
    panel = open_panel("hang")
    panel._viewer.add_labels(_labels())
    panel.start()
    qtbot.waitUntil(lambda: panel.bar.value() == 250, timeout=PATIENCE_S * 1000)
    panel.stop_button.click()
    qtbot.waitUntil(lambda: not panel.improvement.is_running, timeout=PATIENCE_S * 1000)
    assert panel.line.text() == "Stopped; your models are as before."
    assert messages == []
    panel.start()
    qtbot.waitUntil(lambda: panel.bar.value() == 250, timeout=PATIENCE_S * 1000)
    panel.close_down()
    assert not panel.improvement.is_running
