"""scripts/setup_env.py: what it says and does before it installs anything."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "setup_env.py"


@pytest.fixture(scope="module")
def setup_env() -> ModuleType:
    spec = importlib.util.spec_from_file_location("setup_env", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would have been run; nothing is."""
    seen: list[list[str]] = []

    def record(command: list[Any], **_options: Any) -> subprocess.CompletedProcess[str]:
        seen.append([str(word) for word in command])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", record)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    return seen


def test_the_libraries_of_the_running_tests_are_found(setup_env: ModuleType) -> None:
    # These tests run beside a real viewer, so Qt's libraries are there.
    assert setup_env.list_missing_packages(needs_xvfb=True) == []
    assert not setup_env.can_load("libno-such-thing.so.9")


def test_a_missing_library_names_its_package(
    setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    libraries = {**setup_env.LIBRARIES, "libxcb-cursor0": "libno-such-thing.so.9"}
    monkeypatch.setattr(setup_env, "LIBRARIES", libraries)
    monkeypatch.setattr(setup_env, "FILES", {"fonts-dejavu-core": ("/no/such/*.ttf",)})
    monkeypatch.setattr(shutil, "which", lambda name: None)
    without_display = ["libxcb-cursor0", "xvfb", "xauth", "fonts-dejavu-core"]
    assert setup_env.list_missing_packages(needs_xvfb=True) == without_display
    assert setup_env.list_missing_packages(needs_xvfb=False) == [
        "libxcb-cursor0",
        "fonts-dejavu-core",
    ]


def test_without_root_it_stops_and_prints_the_line(
    setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, commands: list[list[str]]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(setup_env.SetupError) as caught:
        setup_env.install_packages(["xvfb", "xauth"])
    line = "apt-get update && apt-get install -y --no-install-recommends xvfb xauth"
    assert f"sudo sh -c '{line}'" in str(caught.value)
    assert commands == []


def test_as_root_it_installs_what_is_missing(
    setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, commands: list[list[str]]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    setup_env.install_packages(["xvfb"])
    ((shell, _, line),) = commands
    assert shell == "sh"
    assert line.endswith("apt-get install -y --no-install-recommends xvfb")


def test_a_folder_that_is_no_environment_is_left_alone(
    setup_env: ModuleType, tmp_path: Path, commands: list[list[str]]
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(setup_env.SetupError, match="something else than a virtual environment"):
        setup_env.make_venv(tmp_path)
    assert commands == []


def test_pip_is_summarised(setup_env: ModuleType) -> None:
    assert setup_env.summarise("Collecting numpy>=1.26 (from napari-edgeflow==0.1)\n") == (
        "Collecting numpy>=1.26"
    )
    assert setup_env.summarise("  Downloading torch-2.13.0-cp311.whl (181.2 MB)\n") == (
        "downloading 181.2 MB"
    )
    assert setup_env.summarise("  Downloading tiny-1.0.whl (12 kB)\n") == ""
    assert setup_env.summarise("Installing collected packages: a, b, c\n") == (
        "installing 3 packages …"
    )
    assert setup_env.summarise("Requirement already satisfied: numpy\n") == ""


def test_a_failing_pip_ends_with_its_own_words(
    setup_env: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(setup_env.SetupError, match="no-such-package-of-edgeflow") as caught:
        setup_env.run_pip(tmp_path, ["no-such-package-of-edgeflow"])
    assert "No matching distribution" in str(caught.value)


def test_the_stamp_follows_the_torch_that_is_asked_for(setup_env: ModuleType) -> None:
    stamp = setup_env.compute_stamp("torch==2.13.0")
    assert stamp == setup_env.compute_stamp("torch==2.13.0")
    assert stamp != setup_env.compute_stamp("torch==2.4.0")
