"""The catalogue: names, files and hashes, without torch."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from napari_edgeflow.errors import WeightsError
from napari_edgeflow.zoo import catalog
from napari_edgeflow.zoo.build import build_network, load_weights, save_weights
from napari_edgeflow.zoo.catalog import WeightsInfo, file_sha256, find_model, list_models

NETWORK = "edgeflow-18xs"


def _write_catalog(folder: Path, entries: object) -> None:
    (folder / "catalog.json").write_text(json.dumps(entries))


def _entry(name: str, content: bytes) -> dict[str, str]:
    return {
        "name": name,
        "network": NETWORK,
        "file": f"{name}.safetensors",
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": "CC BY 4.0",
        "summary": f"about {name}",
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue of two models, ``cells`` first."""
    monkeypatch.setattr(catalog, "_WEIGHTS", tmp_path)
    entries = [_entry("cells", b"c" * 40), _entry("roofs", b"r" * 50) | {"align": "image"}]
    for name, content in (("cells", b"c" * 40), ("roofs", b"r" * 50)):
        (tmp_path / f"{name}.safetensors").write_bytes(content)
    _write_catalog(tmp_path, entries)
    return tmp_path


def test_models_in_the_order_of_the_catalogue(folder: Path) -> None:
    cells, roofs = list_models()
    assert (cells.name, cells.network, cells.path) == (
        "cells",
        NETWORK,
        folder / "cells.safetensors",
    )
    assert (cells.licence, cells.summary) == ("CC BY 4.0", "about cells")
    assert (cells.size_bytes, roofs.size_bytes) == (40, 50)
    assert (cells.align, roofs.align) == ("", "image")
    assert cells.bundled


def test_the_default_is_the_first(folder: Path) -> None:
    assert find_model().name == "cells"
    assert find_model("roofs").name == "roofs"


def test_unknown_names_list_the_known(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"no model is called 'trees'.*default, cells, roofs"):
        find_model("trees")


def test_a_wrong_hash_names_both(folder: Path) -> None:
    (folder / "cells.safetensors").write_bytes(b"c" * 39 + b"x")
    with pytest.raises(WeightsError, match="damaged") as caught:
        find_model("cells")
    for content in (b"c" * 40, b"c" * 39 + b"x"):
        assert hashlib.sha256(content).hexdigest()[:12] in str(caught.value)


def test_a_missing_file(folder: Path) -> None:
    (folder / "cells.safetensors").unlink()
    assert list_models()[0].size_bytes == 0
    with pytest.raises(WeightsError, match=r"cells\.safetensors cannot be read"):
        find_model("cells")


@pytest.mark.parametrize(
    "text", ["", "{", '{"a": 1}', '["cells"]', "[1]", "[]", '[{"name": "cells"}]', "null"]
)
def test_a_damaged_catalogue(folder: Path, text: str) -> None:
    (folder / "catalog.json").write_text(text)
    with pytest.raises(WeightsError, match=r"catalog\.json.*reinstall"):
        find_model()


def test_no_catalogue(folder: Path) -> None:
    (folder / "catalog.json").unlink()
    with pytest.raises(WeightsError, match=r"catalog\.json"):
        list_models()


def test_a_file_of_the_user_s(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    save_weights({"w": torch.zeros(2)}, path, {"network": NETWORK, "align": "image"})
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert find_model(str(path)) == WeightsInfo(
        "mine", NETWORK, path, expected, "unknown", f"weights from {path}", "image", bundled=False
    )


def _with_header(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no valid length"),
        (b"\x80\x04K\x01.", "no valid length"),
        (b"version https://git-lfs\n" * 9, "no valid length"),
        (_with_header(b"not json at all"), "no JSON"),
        (_with_header(b'{"a": 1}')[:-3], "no JSON"),
        (_with_header(b"\xff\xfe\xfa\xfb"), "no JSON"),
        (_with_header(b"[" * 200_000), "no JSON"),
        (_with_header(b"[1, 2]"), "no table"),
        (_with_header(b"{}"), "does not say which network"),
        (_with_header(b'{"__metadata__": 5}'), "does not say which network"),
        (_with_header(b'{"__metadata__": {"step": "3"}}'), "does not say which network"),
    ],
)
def test_a_foreign_file_of_the_user_s(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message) as caught:
        find_model(str(path))
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        find_model(str(tmp_path / "none.safetensors"))


def test_sha256_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert file_sha256(path).startswith("ba7816bf8f01cfea")
    assert file_sha256(path).endswith("b410ff61f20015ad")


def test_the_catalogue_needs_no_torch() -> None:
    code = (
        "import sys; import napari_edgeflow.zoo.catalog as c\n"
        "assert c.WeightsInfo\n"
        "print([m for m in ('torch', 'numpy', 'napari') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(Path(catalog.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_every_bundled_model_is_there_and_loads() -> None:
    models = list_models()
    assert len({info.name for info in models}) == len(models) > 0
    for info in models:
        found = find_model(info.name)
        assert hashlib.sha256(found.path.read_bytes()).hexdigest() == info.sha256
        assert info.licence
        assert info.summary
        load_weights(build_network(info.network, align=info.align or None), info.path)


def test_the_side_that_suits_the_weights_is_known(folder: Path) -> None:
    entries = json.loads((folder / "catalog.json").read_text())
    _write_catalog(folder, [entries[0] | {"input_side": "160"}, entries[1]])
    assert [model.input_side for model in list_models()] == [160, 0]


@pytest.mark.parametrize(("side", "expected"), [("192", 192), (None, 0)])
def test_a_file_says_which_side_suits_it(tmp_path: Path, side: str | None, expected: int) -> None:
    metadata = {"network": NETWORK} | ({"input_side": side} if side else {})
    path = tmp_path / "own.safetensors"
    save_weights({"w": torch.zeros(2)}, path, metadata)
    assert find_model(str(path)).input_side == expected


def test_a_side_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_weights({"w": torch.zeros(2)}, path, {"network": NETWORK, "input_side": "wide"})
    with pytest.raises(WeightsError, match="input_side 'wide'"):
        find_model(str(path))
