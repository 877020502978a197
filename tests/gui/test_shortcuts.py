"""Which action gets which key, by real key events in a real window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from napari.utils.key_bindings import coerce_keybinding
from npe2 import PluginManifest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_edgeflow.gui.input.preferences import KEYS, MousePreferences, Preferences
from napari_edgeflow.gui.input.shortcuts import SHARED, TITLES, Shortcuts, parse_keys, plan_keys

from .canvas import native_canvas

Done = list[str]
QT = {
    "Enter": Qt.Key.Key_Return,
    "Space": Qt.Key.Key_Space,
    "Escape": Qt.Key.Key_Escape,
    "Backspace": Qt.Key.Key_Backspace,
    "Delete": Qt.Key.Key_Delete,
    "N": Qt.Key.Key_N,
}


class Typed(Preferences):
    """Preferences that a test types in."""

    def __init__(self, **keys: str) -> None:
        super().__init__()
        self.typed = keys

    def keys(self, action: str) -> str:
        return self.typed.get(action, KEYS[action])


class Scene:
    """A viewer with the shortcuts, and what they did."""

    def __init__(self, viewer: Any, preferences: Preferences | None = None) -> None:
        self.viewer = viewer
        self.done: Done = []
        self.is_clicking = True
        actions = {name: self._noter(name) for name in KEYS}
        self.shortcuts = Shortcuts(
            viewer, actions, lambda: self.is_clicking, preferences or Typed()
        )

    def _noter(self, name: str) -> Callable[[], object]:
        return lambda: self.done.append(name)

    def press(self, key: str) -> Done:
        """What happens at this key."""
        self.done.clear()
        canvas = native_canvas(self.viewer)
        canvas.setFocus()
        QTest.keyClick(canvas, QT[key])
        return list(self.done)


@pytest.fixture
def scene(make_napari_viewer: Any) -> Iterator[Scene]:
    made = Scene(make_napari_viewer(show=True))
    made.viewer.add_image(np.zeros((40, 50), np.uint8))
    yield made
    made.shortcuts.close()


def test_the_loop_has_its_keys_on_every_kind_of_layer(scene: Scene) -> None:
    viewer = scene.viewer
    viewer.add_labels(np.zeros((40, 50), np.uint8))
    viewer.add_points([[5, 5]])
    expected = {"Enter": "next", "Space": "next", "N": "next", "Escape": "reset"}
    expected |= {"Backspace": "delete", "Delete": "delete"}
    for layer in viewer.layers:
        viewer.layers.selection.active = layer
        layer.mode = "pan_zoom"
        for key, name in expected.items():
            assert scene.press(key) == [name], (layer, key)
    viewer.layers.selection.clear()
    assert scene.press("Enter") == ["next"]
    assert len(viewer.layers["Points"].data) == 1


def test_napari_keeps_its_keys_in_other_modes(scene: Scene) -> None:
    viewer = scene.viewer
    points = viewer.add_points([[5, 5], [9, 9]])
    points.mode = "select"
    points.selected_data = {0}
    assert scene.press("Delete") == []
    assert points.data.tolist() == [[9, 9]]
    labels = viewer.add_labels(np.zeros((40, 50), np.uint8))
    labels.mode = "polygon"
    ended: list[str] = []
    kind = type(labels)
    keys = {name: coerce_keybinding(name) for name in ("Enter", "Escape")}
    kept = {name: kind.class_keymap[key] for name, key in keys.items()}
    try:
        for name, key in keys.items():
            kind.class_keymap[key] = lambda _layer, name=name: ended.append(name)
        assert scene.press("Enter") == scene.press("Escape") == []
    finally:
        kind.class_keymap.update({keys[name]: kept[name] for name in keys})
    assert ended == ["Enter", "Escape"]


def test_space_held_still_pans_while_painting(scene: Scene) -> None:
    labels = scene.viewer.add_labels(np.zeros((40, 50), np.uint8))
    labels.mode = "paint"
    canvas = native_canvas(scene.viewer)
    canvas.setFocus()
    QTest.keyPress(canvas, Qt.Key.Key_Space)
    assert str(labels.mode) == "pan_zoom"
    QTest.keyRelease(canvas, Qt.Key.Key_Space)
    assert str(labels.mode) == "paint"
    assert scene.done == []


def test_without_the_tool_all_keys_are_napari_s(scene: Scene) -> None:
    scene.is_clicking = False
    for key in SHARED:
        assert scene.press(key) == []
    assert scene.press("N") == ["next"]


def test_a_key_of_another_plugin_comes_back(make_napari_viewer: Any) -> None:
    viewer = make_napari_viewer(show=True)
    points = viewer.add_points([[5, 5]])
    points.mode = "pan_zoom"
    theirs: Done = []
    viewer.bind_key("Enter", lambda _viewer: theirs.append("viewer"))
    points.bind_key("Escape", lambda _layer: theirs.append("layer"))
    before = dict(viewer.keymap), dict(points.keymap)
    scene = Scene(viewer)
    assert scene.press("Enter") == ["next"]
    assert scene.press("Escape") == ["reset"]
    scene.is_clicking = False
    assert scene.press("Enter") == scene.press("Escape") == []
    assert theirs == ["viewer", "layer"]
    viewer.layers.selection.clear()
    assert dict(points.keymap) == before[1]
    viewer.layers.selection.active = points
    scene.shortcuts.close()
    assert (dict(viewer.keymap), dict(points.keymap)) == before


def test_a_shapes_layer_keeps_its_keys(scene: Scene) -> None:
    shapes = scene.viewer.add_shapes([[[2, 2], [2, 9], [9, 9]]], shape_type="polygon")
    assert not shapes.keymap
    shapes.bind_key("Enter", lambda _layer: None)


def test_other_keys_are_bound_when_the_preferences_change(
    make_napari_viewer: Any, messages: list[str]
) -> None:
    preferences = Typed(next="G")
    scene = Scene(make_napari_viewer(show=True), preferences)
    assert scene.shortcuts.bound["next"] == ["G"]
    assert scene.press("N") == scene.press("Enter") == []
    assert scene.shortcuts.hint("next") == "  [G]"
    preferences.typed["next"] = "Enter"
    preferences.changed.emit()
    assert scene.press("Enter") == ["next"]
    preferences.typed["next"] = "E"
    preferences.changed.emit()
    assert scene.press("N") == ["next"]
    assert len(messages) == 1
    assert "E, which is napari’s" in messages[0]
    scene.shortcuts.close()


@pytest.mark.parametrize(
    ("wanted", "expected", "complaint"),
    [
        ({}, {}, ""),
        ({"next": "G, Space"}, {"next": ["G", "Space"]}, ""),
        ({"next": "return, esc"}, {"next": ["Enter", "Escape"], "reset": ["Shift-R"]}, ""),
        ({"next": "Foo"}, {}, "got 'Foo', which is none"),
        ({"next": "Shift"}, {}, "got 'Shift', which is none"),
        ({"next": "Ctrl-K Ctrl-S"}, {}, "which is none"),
        ({"next": "P"}, {}, "P, which is napari’s"),
        ({"next": "Ctrl+R"}, {}, "Ctrl+R, which is napari’s"),
        ({"next": ""}, {"next": None}, ""),
        ({"next": "G", "reset": "g"}, {"next": ["G"]}, "g, which is “Finish the object"),
        ({"next": "Q"}, {"next": ["Q"], "tool": None}, ""),
    ],
)
def test_keys_as_the_user_wishes(
    wanted: dict[str, str], expected: dict[str, list[str] | None], complaint: str
) -> None:
    usual = {name: parse_keys(text) for name, text in KEYS.items()}
    taken = [coerce_keybinding(key) for key in ("P", "Ctrl-R", "Space", "Escape", "Enter")]
    plan = plan_keys(KEYS | wanted, taken)
    assert plan.keys == {k: v for k, v in (usual | expected).items() if v}
    assert len(plan.complaints) == bool(complaint)
    assert complaint in "".join(plan.complaints)
    assert all("default is kept" in text for text in plan.complaints)


def test_the_manifest_declares_the_defaults() -> None:
    manifest = PluginManifest.from_file(str(files("napari_edgeflow").joinpath("napari.yaml")))
    declared = manifest.contributions.configurations
    keys = declared["keys"].properties
    assert {name: entry.default for name, entry in keys.items()} == {
        f"{name}_keys": text for name, text in KEYS.items()
    }
    assert {name[:-5]: entry.title for name, entry in keys.items()} == TITLES
    mouse = declared["mouse"].properties
    usual = MousePreferences()
    assert {name: entry.default for name, entry in mouse.items()} == {
        name: getattr(usual, name) for name in MousePreferences.__slots__
    }


def test_napari_s_preferences_reach_keys_and_mouse(
    make_napari_viewer: Any, plugin_settings: Any, npe2pm: Any, qtbot: Any
) -> None:
    from napari.settings import get_plugin_settings

    npe2pm.register(str(files("napari_edgeflow").joinpath("napari.yaml")))
    stored = get_plugin_settings("napari-edgeflow")
    stored.keys.next_keys = "G"
    scene = Scene(make_napari_viewer(show=True), Preferences())
    assert scene.shortcuts.bound["next"] == ["G"]
    stored.keys.next_keys = "G, J"
    stored.mouse.swap_buttons = True
    stored.mouse.drift_px = 9
    qtbot.waitUntil(lambda: scene.shortcuts.bound["next"] == ["G", "J"], timeout=60_000)
    assert scene.shortcuts.preferences.mouse == MousePreferences(True, "Control or Alt", 9)
    scene.shortcuts.close()
