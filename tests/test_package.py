"""The package as a whole: what importing it costs, what it offers, what its manifest promises."""

from __future__ import annotations

import importlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from npe2 import PluginManifest

import napari_edgeflow
from napari_edgeflow._lazy import import_optional

MANIFEST = Path(napari_edgeflow.__file__).with_name("napari.yaml")

PACKAGE = MANIFEST.parent

HEAVY = ("torch", "napari", "qtpy", "PySide6", "PyQt5", "PyQt6", "PySide2", "magicgui")


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """Runs the code in a fresh interpreter; fails with its stderr."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def loaded_after(statement: str) -> set[str]:
    """Which of the heavy packages a fresh interpreter has loaded after the statement."""
    report = f"import sys\n{statement}\nprint('\\nLOADED', *(set({HEAVY}) & set(sys.modules)))"
    last_line = run_python(report).stdout.splitlines()[-1]
    assert last_line.startswith("LOADED")
    return set(last_line.split()[1:])


def test_importing_the_package_loads_no_torch_no_napari_no_qt() -> None:
    assert loaded_after("import napari_edgeflow; napari_edgeflow.__version__") == set()
    # The probe itself works: a name that needs torch does load it.
    assert "torch" in loaded_after("from napari_edgeflow import Predictor")


@pytest.mark.parametrize("arguments", [["--help"], ["segment", "--help"], ["models"]])
def test_help_loads_no_torch_no_napari_no_qt(arguments: list[str]) -> None:
    statement = (
        "from napari_edgeflow.cli import main\n"
        f"sys.argv = ['napari-edgeflow', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code"
    )
    assert loaded_after(statement) == set()


def test_raster_readers_and_catalogue_load_no_torch() -> None:
    assert loaded_after("from napari_edgeflow import open_raster, Click, Window") == set()
    assert loaded_after("import napari_edgeflow.zoo.catalog") == set()


@pytest.mark.parametrize("name", sorted(set(napari_edgeflow.__all__) - {"__version__"}))
def test_public_name_is_the_object_of_its_home(name: str) -> None:
    value = getattr(napari_edgeflow, name)
    home = importlib.import_module(value.__module__)
    assert home.__name__.startswith("napari_edgeflow.")
    assert getattr(home, name) is value
    assert getattr(napari_edgeflow, name) is value


def test_all_and_dir_agree_with_the_promise() -> None:
    promised = {"Predictor", "Session", "Click", "Window", "Prediction", "open_raster"}
    assert set(napari_edgeflow.__all__) == promised | {"__version__"}
    assert promised <= set(dir(napari_edgeflow))


def test_version_is_the_installed_one() -> None:
    from importlib.metadata import version

    assert napari_edgeflow.__version__ == version("napari-edgeflow")


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Sessoin'"):
        _ = napari_edgeflow.Sessoin


def test_missing_extra_names_the_command_that_installs_it() -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        import_optional("no_such_reader.io", extra="geo", needed_for="write a GeoTIFF")
    message = str(caught.value)
    assert "no_such_reader is needed to write a GeoTIFF" in message
    assert 'pip install "napari-edgeflow[geo]"' in message
    assert caught.value.name == "no_such_reader"


def test_broken_install_is_not_blamed_on_a_missing_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "edgeflow_broken_reader.py").write_text("import edgeflow_absent_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError) as caught:
        import_optional("edgeflow_broken_reader", extra="geo", needed_for="read")
    assert caught.value.name == "edgeflow_absent_dependency"
    assert "pip install" not in str(caught.value)


def test_optional_import_returns_the_module() -> None:
    assert import_optional("xml.dom", extra="geo", needed_for="test").__name__ == "xml.dom"


def test_manifest_at_the_root_is_the_package_s_own() -> None:
    root = Path(__file__).parents[1] / "napari.yaml"
    assert root.is_symlink()
    assert root.resolve() == MANIFEST.resolve()


def test_every_command_of_the_manifest_can_be_imported() -> None:
    manifest = PluginManifest.from_file(MANIFEST)
    manifest.validate_imports()


def test_widget_is_offered_in_the_layers_menus() -> None:
    contributions = PluginManifest.from_file(MANIFEST).contributions
    (widget,) = list(contributions.widgets or [])
    assert widget.display_name == "EdgeFlow click segmentation"
    targets = {command.id: command.python_name for command in contributions.commands or ()}
    assert targets[widget.command] == "napari_edgeflow.gui.widget:EdgeFlowWidget"
    for menu in ("napari/layers/segment", "napari/layers/annotate"):
        offered = [item.model_dump()["command"] for item in contributions.menus[menu]]
        assert offered == [widget.command]


def test_wheel_holds_manifest_weights_and_samples(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    done = subprocess.run(
        [*command, "--directory", str(tmp_path)],
        cwd=PACKAGE.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if name.startswith("napari_edgeflow/")}
    bundled = [PACKAGE / "napari.yaml", PACKAGE / "py.typed"]
    for folder in (PACKAGE / "gui" / "sample_images", PACKAGE / "zoo" / "weights"):
        bundled += [path for path in folder.iterdir() if path.is_file()]
    assert any(path.suffix == ".safetensors" for path in bundled)
    expected = {path.relative_to(PACKAGE.parent).as_posix() for path in bundled}
    assert expected <= inside
    assert wheel.stat().st_size < 60_000_000  # package indexes refuse 100 MB
