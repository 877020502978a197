"""``models`` lists the catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_edgeflow.cli import app
from napari_edgeflow.cli.models import format_size
from napari_edgeflow.errors import WeightsError
from napari_edgeflow.zoo import catalog
from napari_edgeflow.zoo.catalog import WeightsInfo


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
    result = CliRunner().invoke(app, ["models"], env={"COLUMNS": "120"})
    assert result.exit_code == 0
    first, second = result.stdout.strip().splitlines()[2:]
    assert first.split() == [
        "cells-18s", "(default)", "yes", "16.3", "MB", "CC", "BY", "4.0", "what", "cells-18s",
        "is", "good", "at",
    ]  # fmt: skip
    assert second.split()[:4] == ["roofs", "no", "missing", "CC"]


def test_a_damaged_catalogue_is_a_plain_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> tuple[WeightsInfo, ...]:
        raise WeightsError("the catalogue is damaged; reinstall")

    monkeypatch.setattr(catalog, "list_models", fail)
    result = CliRunner().invoke(app, ["models"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: the catalogue is damaged; reinstall\n"


@pytest.mark.parametrize(("size", "text"), [(0, "missing"), (16_260_000, "16.3 MB")])
def test_sizes(size: int, text: str) -> None:
    assert format_size(size) == text
