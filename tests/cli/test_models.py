"""``models`` lists the catalogue, imports files and downloads published ones."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from napari_edgeflow.cli import app
from napari_edgeflow.cli.models import format_size
from napari_edgeflow.errors import WeightsError
from napari_edgeflow.nn.edgeflow import EdgeFlow, EdgeFlowConfig
from napari_edgeflow.nn.hrnet import HRNetConfig
from napari_edgeflow.zoo import build, catalog, convert, install, store
from napari_edgeflow.zoo.catalog import WeightsInfo
from napari_edgeflow.zoo.install import Installed
from napari_edgeflow.zoo.published import PUBLISHED

TINY = EdgeFlowConfig(HRNetConfig(2, 1, 1, 1, 1), 4, align_channels=4, fine_width=4)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's model folder; one small network is registered."""
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "models"))
    for module in (build, convert):
        monkeypatch.setattr(module, "REGISTRY", {"tiny": TINY})
    return tmp_path / "models"


def _run(*arguments: str, columns: int = 160) -> Result:
    return CliRunner().invoke(app, ["models", *arguments], env={"COLUMNS": str(columns)})


def _info(name: str, path: Path, bundled: bool) -> WeightsInfo:
    return WeightsInfo(
        name, "edgeflow-18s", path, "", "CC BY 4.0", f"what {name} is good at", bundled=bundled
    )


def test_every_model_with_what_is_known_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(bytes(16_260_000))
    models = (_info("cells-18s", tmp_path / "a", True), _info("roofs", tmp_path / "b", False))
    monkeypatch.setattr(catalog, "list_models", lambda: models)
    result = _run(columns=120)
    assert result.exit_code == 0
    first, second = result.stdout.strip().splitlines()[2:4]
    assert first.split() == [
        "cells-18s", "(default)", "yes", "16.3", "MB", "CC", "BY", "4.0", "what", "cells-18s",
        "is", "good", "at",
    ]  # fmt: skip
    assert second.split()[:4] == ["roofs", "no", "missing", "CC"]


def test_what_can_be_downloaded_and_is_not_there(models: Path) -> None:
    _, _, rest = _run().stdout.partition("models download NAME")
    rows = {line.split()[0]: line for line in rest.splitlines() if line.strip()}
    for item in PUBLISHED:
        assert item.licence in rows[item.name]
        size = f"{item.about_bytes / 1e6:.0f} MB" if item.about_bytes else "?"
        assert size in rows[item.name]


def test_a_damaged_catalogue_is_a_plain_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> tuple[WeightsInfo, ...]:
        raise WeightsError("the catalogue is damaged; reinstall")

    monkeypatch.setattr(catalog, "list_models", fail)
    result = _run()
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: the catalogue is damaged; reinstall\n"


def test_a_damaged_file_does_not_hide_the_others(
    models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    models.mkdir()
    (models / "broken.safetensors").write_bytes(b"no header")
    (models / "edgeflow-18s.safetensors").write_bytes(b"an impostor")
    result = _run()
    assert result.exit_code == 0
    assert "edgeflow-18s (default)" in result.stdout
    assert result.stdout.count("edgeflow-18s ") == 1
    assert "broken" not in result.stdout
    assert "broken.safetensors is not a safetensors file" in caplog.text
    assert "name of a bundled model; rename" in caplog.text


def test_a_file_is_imported_and_listed(models: Path, tmp_path: Path) -> None:
    path = tmp_path / "a file.pth"
    torch.save({"state_dict": EdgeFlow(TINY).state_dict()}, path)
    result = _run("import", str(path), "--licence", "CC0")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("a-file: tiny, ")
    assert f"{models / 'a-file.safetensors'}. Use it with --model a-file" in result.stdout
    (row,) = [line for line in _run().stdout.splitlines() if line.split()[:1] == ["a-file"]]
    assert row.split()[1] == "no"
    assert "CC0" in row
    again = _run("import", str(path))
    assert again.exit_code == 2
    assert "choose another name with --name, or replace it with --replace" in again.stderr
    assert _run("import", str(path), "--replace").exit_code == 0
    assert _run("import", str(path), "--name", "other").exit_code == 0


class _Bomb:
    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.flag}",)


def test_a_hostile_file_is_one_plain_line(models: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.pdparams"
    path.write_bytes(pickle.dumps({"a": _Bomb(tmp_path / "ran")}))
    result = _run("import", str(path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "asks to run posix.system" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("is_first", [True, False])
def test_a_download_shows_the_hash(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_first: bool
) -> None:
    def answer(name: str, *, replace: bool, progress: object) -> Installed:
        assert (name, replace) == ("theirs", True)
        assert callable(progress)
        progress(10, 0)
        progress(20, 40)
        return Installed(_info(name, tmp_path / "none", False), "ab" * 32, is_first)

    monkeypatch.setattr(install, "download_model", answer)
    result = _run("download", "theirs", "--replace")
    assert result.exit_code == 0, result.stderr
    assert f"sha256 of the published file: {'ab' * 32}" in result.stdout
    assert ("not yet recorded" in result.stdout) == is_first
    assert result.stderr == ""


def test_nothing_of_that_name_to_download(models: Path) -> None:
    result = _run("download", "sam")
    assert result.exit_code == 2
    assert "nothing to download is called 'sam'; known are ritm-h18s-cocolvis" in result.stderr


@pytest.mark.parametrize(("size", "text"), [(0, "missing"), (16_260_000, "16.3 MB")])
def test_sizes(size: int, text: str) -> None:
    assert format_size(size) == text
