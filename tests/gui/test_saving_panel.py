"""Where steps are saved: chosen in the panel, remembered, used for the next image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from napari.components import ViewerModel

from napari_edgeflow.gui.panels.saving_panel import SavingPanel
from napari_edgeflow.gui.projects.autosave_settings import Autosave

from .fakes import squares


def test_the_choice_is_remembered_and_a_damaged_one_forgotten(
    spare_projects: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert Autosave.remembered() == Autosave()
    chosen = Autosave(False, tmp_path / "mine")
    chosen.remember()
    assert Autosave.remembered() == chosen
    (spare_projects / "autosave.json").write_text("{")
    assert Autosave.remembered() == Autosave()
    assert "cannot be read" in caplog.text


def test_the_folder_of_the_panel_gets_the_steps_of_the_next_image(
    make_controller: Any, settle: Any, qtbot: Any, tmp_path: Path
) -> None:
    viewer = ViewerModel()
    controller = make_controller(viewer)
    panel = SavingPanel(viewer, controller)
    qtbot.addWidget(panel)
    assert panel.line.text() == "Steps are saved beside each image."
    (tmp_path / "mine").mkdir()
    panel.choose_folder = lambda: tmp_path / "mine"
    panel.folder_button.click()
    assert panel.line.text() == f"Steps are saved in {tmp_path / 'mine'}."
    path = str(tmp_path / "cells.tif")
    controller.bind(viewer.add_image(squares(), metadata={"path": path}))
    controller.click((15, 20), "positive")
    settle(controller)
    (journal,) = (tmp_path / "mine").glob("cells.tif-*.edgeflow")
    assert panel.place_line.text() == f"This image: {journal}"
    assert Autosave.remembered().folder == tmp_path / "mine"
    panel.on_box.setChecked(False)
    controller.bind(viewer.add_image(squares() + 1))
    controller.click((15, 20), "positive")
    settle(controller)
    assert controller.project.place is None
    assert controller.project.saved_line.startswith("Not on disk")
    panel.beside_button.click()
    assert panel.line.text() == "Steps are not saved."
    panel.close_down()
