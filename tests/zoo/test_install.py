"""From a name to a model, and what happens when the file on the web changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_edgeflow.errors import WeightsError
from napari_edgeflow.zoo import published, store
from napari_edgeflow.zoo.build import build_network, load_weights, network_names, read_metadata
from napari_edgeflow.zoo.catalog import find_model, list_models
from napari_edgeflow.zoo.install import Installed, download_model
from napari_edgeflow.zoo.published import PUBLISHED, PublishedFile, find_published

from .checkpoints import random_network, same_outputs, write_pth
from .web import Behaviour, serving


def _checkpoint(folder: Path, seed: int = 1) -> bytes:
    return write_pth(random_network(seed=seed).state_dict(), folder / "w.pth").read_bytes()


@pytest.fixture
def server(
    tmp_path: Path, models: Path, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Behaviour]:
    """A server with the one published file ``theirs``."""
    behaviour = Behaviour(_checkpoint(tmp_path))
    with serving(behaviour) as address:
        size = len(behaviour.content)
        item = PublishedFile("theirs", f"{address}/t.pth", tiny, "MIT", "a test", size)
        monkeypatch.setattr(published, "PUBLISHED", (item,))
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield behaviour


def _download(*, replace: bool = False) -> Installed:
    return download_model("theirs", replace=replace, wait=lambda _s: None)


def test_downloaded_and_ready(server: Behaviour, models: Path) -> None:
    installed = _download()
    sha256 = hashlib.sha256(server.content).hexdigest()
    assert (installed.sha256, installed.is_first) == (sha256, True)
    assert store.read_pins()["t.pth"] == sha256
    info = find_model("theirs")
    assert (info.licence, info.summary) == ("MIT", "a test")
    assert read_metadata(info.path)["source_sha256"] == sha256
    assert read_metadata(info.path)["source_url"].endswith("/t.pth")
    network = build_network(info.network)
    load_weights(network, info.path)
    assert same_outputs(network.eval(), random_network())
    assert sorted(path.name for path in models.iterdir()) == ["pins.json", "theirs.safetensors"]
    assert list_models()[-1].name == "theirs"


def test_the_same_file_again(server: Behaviour) -> None:
    _download()
    with pytest.raises(ValueError, match=r"'theirs' already.*--replace"):
        _download()
    assert len(server.asked) == 1
    assert not _download(replace=True).is_first


def test_a_file_that_changed_is_refused(server: Behaviour, tmp_path: Path) -> None:
    first = _download()
    server.content = _checkpoint(tmp_path, seed=2)
    with pytest.raises(WeightsError, match=r"has changed.*was downloaded the first") as caught:
        _download(replace=True)
    for expected in (first.sha256, hashlib.sha256(server.content).hexdigest(), "pins.json"):
        assert expected in str(caught.value)
    assert not any(store.downloads_folder().iterdir())
    assert find_model("theirs").sha256 == store.read_pins()["theirs.safetensors"]
    network = build_network("tiny")
    load_weights(network, find_model("theirs").path)
    assert same_outputs(network.eval(), random_network()), "the old model was lost"


def test_a_hash_that_is_recorded(server: Behaviour, monkeypatch: pytest.MonkeyPatch) -> None:
    (item,) = published.PUBLISHED
    for sha256, message in (("0" * 64, "was published"), ("", "")):
        recorded = sha256 or hashlib.sha256(server.content).hexdigest()
        known = PublishedFile(
            item.name, item.url, item.network, item.licence, item.summary, 0, recorded
        )
        monkeypatch.setattr(published, "PUBLISHED", (known,))
        if message:
            with pytest.raises(WeightsError, match=message):
                _download()
        else:
            assert not _download().is_first


def test_a_file_put_there_by_hand_is_used(server: Behaviour) -> None:
    folder = store.make_folder(store.downloads_folder())
    (folder / "t.pth").write_bytes(server.content)
    assert _download().model.name == "theirs"
    assert server.asked == []


def test_a_page_in_the_file_s_place_is_not_remembered(server: Behaviour) -> None:
    good = server.content
    server.content = b"<html>Sign in".ljust(len(good))
    with pytest.raises(WeightsError, match="a web page saved in its place"):
        _download()
    assert store.read_pins() == {}
    server.content = good
    assert _download().is_first


def test_a_failure_to_write_keeps_what_was_fetched(
    server: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("napari_edgeflow.zoo.convert.save_weights", full)
        with pytest.raises(WeightsError, match="No space left"):
            _download()
    assert _download().is_first
    assert len(server.asked) == 1


def test_a_damaged_list_of_hashes_stops_before_the_download(
    server: Behaviour, models: Path
) -> None:
    models.mkdir(parents=True)
    store.pins_path().write_text("{")
    with pytest.raises(WeightsError, match=r"pins\.json cannot be read"):
        _download()
    assert server.asked == []


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(ValueError, match=r"'sam'; known are ritm-h18s-cocolvis, .*import FILE"):
        find_published("sam")


def test_the_published_files_fit_registered_networks() -> None:
    assert {item.network for item in PUBLISHED} <= set(network_names())
    assert len({item.name for item in PUBLISHED}) == len(PUBLISHED)
    assert len({item.file_name for item in PUBLISHED}) == len(PUBLISHED)
    bundled = {info.name for info in list_models() if info.bundled}
    assert not bundled & {item.name for item in PUBLISHED}
    assert all(item.url.startswith("https://") and item.licence for item in PUBLISHED)


DOCUMENTED = [item for item in PUBLISHED if item.about_bytes]


@pytest.mark.parametrize("item", DOCUMENTED, ids=lambda item: item.name)
def test_documented_sizes_are_those_of_float32_weights(item: PublishedFile) -> None:
    values = {"ritm-h18s": 4_220_047, "ritm-h18": 10_032_019, "ritm-h32": 30_951_363}
    values["ritm-h18-baseline"] = 10_032_003
    assert 1.0 < item.about_bytes / (4 * values[item.network]) < 1.05
