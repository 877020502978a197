"""Published formats round-trip: the imported model computes what the original did."""

from __future__ import annotations

import ast
import hashlib
import io
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_edgeflow.errors import WeightsError
from napari_edgeflow.evaluation.sources import BASELINES
from napari_edgeflow.nn.edgeflow import EDGEFLOW_18
from napari_edgeflow.zoo import store
from napari_edgeflow.zoo.build import build_network, load_weights, read_metadata, save_weights
from napari_edgeflow.zoo.catalog import find_model, list_models
from napari_edgeflow.zoo.checkpoint import read_checkpoint
from napari_edgeflow.zoo.convert import RESERVED_NAMES, import_weights, name_from

from .checkpoints import (
    RITM_CONFIG,
    SMALLER,
    TINY,
    Bomb,
    paddle_arrays,
    paddle_names,
    random_network,
    same_outputs,
    write_pdparams,
    write_pth,
)

KEYS = Path(__file__).parents[1] / "nn" / "reference" / "edgeflow_paddle.keys"
Write = Callable[[Path], Path]


def _write_pth(folder: Path) -> Path:
    return write_pth(random_network().state_dict(), folder / "mine.pth")


def _write_old_pth(folder: Path) -> Path:
    return write_pth(random_network().state_dict(), folder / "mine.pth", old=True)


def _write_bare_pth(folder: Path) -> Path:
    torch.save(random_network().state_dict(), folder / "mine.pth")
    return folder / "mine.pth"


def _write_pdparams(folder: Path) -> Path:
    return write_pdparams(paddle_arrays(random_network()), folder / "mine.pdparams")


def _write_safetensors(folder: Path) -> Path:
    path = folder / "mine.safetensors"
    save_weights(random_network().state_dict(), path, {"network": "tiny", "step": "7"})
    return path


@pytest.mark.parametrize(
    "write", [_write_pth, _write_old_pth, _write_bare_pth, _write_pdparams, _write_safetensors]
)
def test_an_imported_model_computes_the_same(
    tmp_path: Path, models: Path, tiny: str, write: Write
) -> None:
    source = write(tmp_path)
    before = source.read_bytes()
    made = import_weights(source, "ours")
    assert (made.name, made.network, made.bundled) == ("ours", tiny, False)
    assert made.path == models / "ours.safetensors"
    assert source.read_bytes() == before
    found = find_model("ours")
    assert found.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()
    network = build_network(found.network)
    load_weights(network, found.path)
    assert same_outputs(network.eval(), random_network())
    assert not same_outputs(network, random_network(seed=2))


def test_the_published_edgeflow(tmp_path: Path, models: Path) -> None:
    """Every published name, the two unused layers among them, in the full-size network."""
    original = random_network(EDGEFLOW_18)
    state, ours = original.state_dict(), {v: k for k, v in paddle_names(original).items()}
    arrays: dict[str, Any] = {}
    for line in KEYS.read_text().splitlines():
        name, shape = line.split(" ", 1)
        unused = np.ones(ast.literal_eval(shape), np.float32)
        arrays[name] = state[ours[name]].numpy() if name in ours else unused
    info = import_weights(write_pdparams(arrays, tmp_path / "edgeflow.pdparams", 2))
    assert (info.name, info.network, info.align) == ("edgeflow", "edgeflow-18", "image")
    assert info.input_side == 400
    network = build_network(info.network, align=info.align)
    load_weights(network, info.path)
    assert same_outputs(network.eval(), original)


def test_what_is_kept_with_the_weights(tmp_path: Path, models: Path, tiny: str) -> None:
    source = _write_pth(tmp_path)
    info = import_weights(source, licence="CC0")
    assert read_metadata(info.path) == {
        "network": tiny,
        "licence": "CC0",
        "summary": "imported from mine.pth",
        "source_file": "mine.pth",
        "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "imported": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
    assert (info.licence, info.summary) == ("CC0", "imported from mine.pth")
    assert store.read_pins() == {
        "mine.safetensors": hashlib.sha256(info.path.read_bytes()).hexdigest()
    }


def test_a_file_of_this_program_keeps_its_history(tmp_path: Path, models: Path, tiny: str) -> None:
    info = import_weights(_write_safetensors(tmp_path))
    assert read_metadata(info.path)["step"] == "7"


def test_a_licence_is_never_invented(tmp_path: Path, models: Path, tiny: str) -> None:
    assert import_weights(_write_pth(tmp_path)).licence == "unknown: ask who published it"
    known = _write_pth(tmp_path).rename(tmp_path / "coco_lvis_h18_itermask.pth")
    assert import_weights(known).licence == "MIT (by its file name)"


def test_imported_models_are_listed_after_the_bundled(
    tmp_path: Path, models: Path, tiny: str
) -> None:
    bundled = [info.name for info in list_models()]
    import_weights(_write_pth(tmp_path), "z-last")
    import_weights(_write_pth(tmp_path), "a-first")
    assert [info.name for info in list_models()] == [*bundled, "a-first", "z-last"]


def test_a_changed_model_is_refused(tmp_path: Path, models: Path, tiny: str) -> None:
    info = import_weights(_write_pth(tmp_path))
    info.path.write_bytes(info.path.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsError, match=r"is damaged.*import or download it again"):
        find_model("mine")


@pytest.mark.parametrize("name", ["edgeflow-18s", "random-walker", *RESERVED_NAMES])
def test_the_program_s_own_names_are_taken(tmp_path: Path, models: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"name of the program's own.*--name"):
        import_weights(_write_pth(tmp_path), name)
    assert not models.exists()


def test_baselines_are_reserved() -> None:
    assert set(BASELINES) <= set(RESERVED_NAMES)


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "a b", "x.safetensors", "a" * 65, "é"])
def test_names_that_are_no_file_names(tmp_path: Path, models: Path, name: str) -> None:
    with pytest.raises(ValueError, match="a model cannot be called"):
        import_weights(_write_pth(tmp_path), name)


def test_a_model_is_replaced_only_when_asked(tmp_path: Path, models: Path, tiny: str) -> None:
    first = import_weights(_write_pth(tmp_path))
    other = write_pth(random_network(seed=5).state_dict(), tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"there is a model called 'mine' already.*--replace"):
        import_weights(other, "mine")
    import_weights(other, "mine", replace=True)
    network = build_network(tiny)
    load_weights(network, find_model("mine").path)
    assert same_outputs(network.eval(), random_network(seed=5))
    assert first.path.parent == models


@pytest.mark.parametrize(
    ("file", "name"),
    [("a b(1).pth", "a-b-1"), ("ünï.pth", "n"), ("....pth", "imported"), ("x" * 99, "x" * 64)],
)
def test_names_made_from_file_names(file: str, name: str) -> None:
    assert name_from(Path(file)) == name


# --- files that do not fit -----------------------------------------------------------------


def test_every_parameter_that_does_not_match_is_named(
    tmp_path: Path, models: Path, tiny: str
) -> None:
    state = random_network().state_dict()
    state["feature_extractor.conv9.weight"] = state.pop("feature_extractor.conv1.weight")
    state["feature_extractor.bn1.bias"] = torch.zeros(3)
    with pytest.raises(WeightsError, match="another network") as caught:
        import_weights(write_pth(state, tmp_path / "w.pth"))
    text = str(caught.value)
    assert "(isegm.model.is_hrnet_model.HRNetModel)" in text
    assert "tiny is the closest" in text
    assert "1 unknown (feature_extractor.conv9.weight)" in text
    assert "1 missing (feature_extractor.conv1.weight)" in text
    assert "1 of another shape (feature_extractor.bn1.bias [3])" in text
    assert "Choose a checkpoint of one of smaller, tiny" in text
    assert not models.exists()


def test_another_architecture(tmp_path: Path, models: Path, tiny: str) -> None:
    network = torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(30)))
    with pytest.raises(WeightsError, match=r"60 unknown \(.* and 40 more\)"):
        import_weights(write_pth(network.state_dict(), tmp_path / "w.pth"))


def test_the_right_one_of_two_networks(tmp_path: Path, models: Path, tiny: str) -> None:
    source = write_pth(random_network(SMALLER).state_dict(), tmp_path / "w.pth")
    assert import_weights(source).network == "smaller"


def test_a_file_that_names_another_network_than_it_holds(
    tmp_path: Path, models: Path, tiny: str
) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(random_network().state_dict(), path, {"network": "smaller"})
    with pytest.raises(WeightsError, match="another network"):
        import_weights(path)


def test_a_network_with_settings_of_its_own(tmp_path: Path, models: Path, tiny: str) -> None:
    path = tmp_path / "w.safetensors"
    other = random_network(replace(TINY, align="interaction"))
    save_weights(other.state_dict(), path, {"network": "tiny:align=interaction"})
    info = import_weights(path)
    assert info.network == "tiny:align=interaction"
    network = build_network(info.network)
    load_weights(network, info.path)
    assert same_outputs(network.eval(), other)
    assert not same_outputs(network, random_network())


def test_a_network_that_this_version_does_not_have(tmp_path: Path, models: Path, tiny: str) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(random_network().state_dict(), path, {"network": "edgeflow-99"})
    with pytest.raises(WeightsError, match=r"does not have \(no network is called 'edgeflow-99'"):
        import_weights(path)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("use_disks", False), ("norm_radius", 3), ("use_leaky_relu", False), ("use_rgb_conv", True)],
)
def test_ritm_settings_that_mean_other_clicks(
    tmp_path: Path, models: Path, tiny: str, setting: str, value: object
) -> None:
    config = RITM_CONFIG | {"params": RITM_CONFIG["params"] | {setting: {"value": value}}}  # type: ignore[operator]
    path = tmp_path / "w.pth"
    torch.save({"state_dict": random_network().state_dict(), "config": config}, path)
    with pytest.raises(WeightsError, match=f"{setting} is {value!r} where"):
        import_weights(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(tmp_path: Path, models: Path, tiny: str, value: float) -> None:
    arrays = paddle_arrays(random_network())
    arrays["feature_extractor.bn1._variance"][3] = value
    with pytest.raises(WeightsError, match=r"bn1\.running_var holds values that are no numbers"):
        import_weights(write_pdparams(arrays, tmp_path / "w.pdparams"))


def test_one_parameter_under_both_names(tmp_path: Path, models: Path, tiny: str) -> None:
    arrays = paddle_arrays(random_network())
    arrays["feature_extractor.bn1.running_var"] = arrays["feature_extractor.bn1._variance"]
    with pytest.raises(WeightsError, match="names parameters twice"):
        import_weights(write_pdparams(arrays, tmp_path / "w.pdparams"))


# --- hostile and broken files --------------------------------------------------------------


def _pickle_of(content: object, old: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not old)
    return buffer.getvalue()


def _zip_of(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["w.pth", "w.pdparams", "w.safetensors"])
@pytest.mark.parametrize("form", ["pickle", "torch", "old torch", "state", "zip", "nested"])
def test_code_in_a_file_is_not_run(
    tmp_path: Path, models: Path, tiny: str, name: str, form: str
) -> None:
    flag = tmp_path / "ran"
    bomb = Bomb(flag)
    content = {
        "pickle": lambda: pickle.dumps({"a": bomb}),
        "torch": lambda: _pickle_of(bomb),
        "old torch": lambda: _pickle_of(bomb, old=True),
        "state": lambda: _pickle_of({"state_dict": {"a": bomb}, "config": RITM_CONFIG}),
        "zip": lambda: _zip_of(w__data_pkl=pickle.dumps(bomb, protocol=2), w__version=b"3"),
        "nested": lambda: _zip_of(inner_pth=_pickle_of(bomb)),
    }[form]()
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"expected|safetensors"):
        import_weights(path)
    assert not flag.exists(), "the file's code was run"
    assert not models.exists()


def test_code_is_named_in_the_refusal(tmp_path: Path, models: Path, tiny: str) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(_pickle_of({"a": Bomb(tmp_path / "ran")}))
    with pytest.raises(WeightsError, match=r"asks to run posix\.system.*None of it was run"):
        import_weights(path)


def _bomb_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data.pkl", bytes(20_000_000))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><title>Sign in</title>", "a web page saved in its place"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a web page saved in its place"),
        (b"\x1f\x8b\x08" + bytes(40), "must be unpacked first"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "is no checkpoint: expected"),
        (_bomb_zip(), "would unpack to 20 MB"),
        (_pickle_of({"a": torch.zeros(9)})[:-30], "cut short or damaged"),
        (_pickle_of({"a": torch.zeros(9)}, old=True)[:-10], "cut short"),
        (_pickle_of([1, 2]), "holds a list, no table"),
        (_pickle_of({"state_dict": {}}), "holds no 'state_dict'"),
        (_pickle_of({"state_dict": {"a": 1}}), "holds more than parameters"),
        (_pickle_of({"a": torch.zeros(1).expand(2**14, 2**14)}), "more memory than the file"),
        (_zip_of(static_pdiparams=b"1", static_pdmodel=b"2"), "exported for Paddle's inference"),
        (_zip_of(readme_txt=b"hello"), r"no checkpoint of torch \(it holds readme.txt\)"),
        (_zip_of(), "no checkpoint of torch"),
        (b"PK\x03\x04" + bytes(200), "cut short or damaged"),
    ],
)
def test_files_that_are_no_checkpoints(
    tmp_path: Path, models: Path, tiny: str, content: bytes, message: str
) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message) as caught:
        import_weights(path)
    assert str(path) in str(caught.value)
    assert "expected a checkpoint" in str(caught.value) or "publisher" in str(caught.value)
    assert not models.exists()


def test_folders_and_nothing(tmp_path: Path, models: Path) -> None:
    with pytest.raises(WeightsError, match=r"is a folder.*choose the file in it"):
        import_weights(tmp_path)
    with pytest.raises(WeightsError, match=r"none\.pth cannot be read.*check the path"):
        import_weights(tmp_path / "none.pth")


def test_a_safetensors_header_that_claims_the_memory(tmp_path: Path, models: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes((2**60).to_bytes(8, "little") + b"{}")
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        import_weights(path)


def test_a_file_that_is_too_large(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_edgeflow.zoo.checkpoint.MAX_FILE_BYTES", 1000)
    with pytest.raises(WeightsError, match="of at most 0 MB; choose another file"):
        read_checkpoint(_write_pth(tmp_path))


def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, models: Path, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(WeightsError, match="No space left on device; free some space"):
        import_weights(_write_pth(tmp_path))
    assert list(models.iterdir()) == []


def test_reading_needs_no_isegm(tmp_path: Path) -> None:
    checkpoint = read_checkpoint(_write_pth(tmp_path))
    assert checkpoint.config["class"] == RITM_CONFIG["class"]
    assert checkpoint.config["norm_radius"] == 5
