"""Finished objects become a data set; a process learns from them; the panel tells how it went."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from napari.layers import Image, Labels, Points

from napari_edgeflow.data.folder import FolderDataset
from napari_edgeflow.gui import finetune
from napari_edgeflow.gui.finetune import Improvement, command, find_annotated, write_objects
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


def _never(_layer: Any) -> bool:
    return False


# --- objects -------------------------------------------------------------------------------


def _labels(shape: tuple[int, ...] = (60, 80)) -> Any:
    labels = np.zeros(shape, np.uint16)
    labels[..., 10:25, 10:30] = 7
    labels[..., 35:50, 40:70] = 90
    return labels


def test_objects_belong_to_the_image_below_them() -> None:
    first, second = Image(squares(), name="a"), Image(squares(), name="b")
    other = Image(np.zeros((9, 9)), name="small")
    helper, done, empty = Labels(_labels()), Labels(_labels()), Labels(_labels() * 0)
    layers = [first, Points(), second, other, helper, done, empty]
    (found,) = find_annotated(layers, lambda layer: layer is helper)
    assert (found.name, found.is_rgb) == ("b", False)
    assert found.labels is done.data
    (found,) = find_annotated([done, first], _never)
    assert found.name == "a"
    assert find_annotated([done, other], _never) == []


def test_a_plane_comes_back_as_it_was(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 60000, (60, 80)).astype(np.uint16)
    assert write_objects(find_annotated([Image(image), Labels(_labels())], _never), tmp_path) == 1
    (sample,) = FolderDataset(tmp_path)
    np.testing.assert_array_equal(sample.image, image)
    np.testing.assert_array_equal(sample.labels, np.searchsorted([0, 7, 90], _labels()))
    assert sample.image.dtype == np.uint16


def test_stacks_and_colours(tmp_path: Path) -> None:
    """Only planes with objects are written; transparency is dropped."""
    stack = np.random.default_rng(1).random((2, 3, 60, 80)).astype(np.float32)
    labels = _labels((2, 3, 60, 80))
    labels[0] = labels[1, 0] = 0
    assert (
        write_objects(find_annotated([Image(stack), Labels(labels)], _never), tmp_path / "s") == 2
    )
    for sample, plane in zip(FolderDataset(tmp_path / "s"), stack[1, 1:], strict=True):
        np.testing.assert_array_equal(sample.image, plane)
    colours = np.random.default_rng(2).integers(0, 255, (60, 80, 4)).astype(np.uint8)
    write_objects(find_annotated([Image(colours, rgb=True), Labels(_labels())], _never), tmp_path)
    np.testing.assert_array_equal(FolderDataset(tmp_path)[0].image, colours[..., :3])


def test_large_planes_are_cut_to_their_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetune, "LARGEST_PLANE_PX", 100)
    monkeypatch.setattr(finetune, "MARGIN_PX", 4)
    image = np.random.default_rng(3).random((60, 80))
    write_objects(find_annotated([Image(image), Labels(_labels())], _never), tmp_path)
    (sample,) = FolderDataset(tmp_path)
    np.testing.assert_array_equal(sample.image, image[6:53, 6:73])
    assert sample.areas() == {1: 15 * 20, 2: 15 * 30}


def test_a_stop_is_heeded_between_planes(tmp_path: Path) -> None:
    annotated = find_annotated([Image(squares()), Labels(_labels())], _never)
    assert write_objects(annotated, tmp_path, lambda: True) == 0
    assert not list(tmp_path.iterdir())


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
        find_annotated([Image(squares()), Labels(_labels())], _never), tmp_path / "objects"
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
