"""The user's folder: where it is, what is remembered, and what happens when it cannot be used."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from napari_edgeflow.errors import WeightsError
from napari_edgeflow.zoo import store


def test_the_folder_can_be_chosen(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.models_folder() == models
    monkeypatch.setenv(store.FOLDER_VARIABLE, "~/elsewhere")
    assert store.models_folder() == Path.home() / "elsewhere"
    monkeypatch.delenv(store.FOLDER_VARIABLE)
    assert store.models_folder().parts[-2:] == ("napari-edgeflow", "models")


def test_no_folder_is_no_models_and_no_pins(models: Path) -> None:
    assert store.user_files() == ()
    assert store.read_pins() == {}
    assert not models.exists(), "looking must not make the folder"


def test_only_whole_safetensors_files_count(models: Path) -> None:
    models.mkdir(parents=True)
    for name in ("b.safetensors", "a.safetensors", ".c.safetensors.12", "d.pth", "pins.json"):
        (models / name).touch()
    (models / ".hidden.safetensors").touch()
    (models / "folder.safetensors").mkdir()
    assert [path.name for path in store.user_files()] == ["a.safetensors", "b.safetensors"]


def test_pins_add_up(models: Path) -> None:
    store.pin("a.pth", "12")
    store.pin("b.pth", "34")
    store.pin("a.pth", "56")
    assert store.read_pins() == {"a.pth": "56", "b.pth": "34"}
    assert [path.name for path in models.iterdir()] == ["pins.json"]
    assert json.loads(store.pins_path().read_text()) == store.read_pins()


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 1}', "{", "\xff", "[" * 100_000])
def test_a_damaged_list_is_never_taken_for_empty(models: Path, text: str) -> None:
    models.mkdir(parents=True)
    store.pins_path().write_text(text, encoding="latin1")
    for use in (store.read_pins, lambda: store.pin("a", "1")):
        with pytest.raises(WeightsError, match=r"pins\.json cannot be read.*delete it"):
            use()
    assert store.pins_path().read_text(encoding="latin1") == text


def test_a_file_in_the_folder_s_place(models: Path) -> None:
    models.parent.mkdir(parents=True)
    models.touch()
    with pytest.raises(WeightsError, match=r"models cannot be used.*NAPARI_EDGEFLOW_MODELS"):
        store.make_folder(models)


def test_a_folder_without_permission(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(WeightsError, match=r"models cannot be used: permission denied"):
        store.make_folder(models)


def test_a_full_disk_leaves_the_old_file(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.pin("a.pth", "12")

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WeightsError, match=r"No space left on device; free some space"):
        store.pin("b.pth", "34")
    assert [path.name for path in models.iterdir()] == ["pins.json"]
    assert store.read_pins() == {"a.pth": "12"}
