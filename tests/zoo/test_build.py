"""Weights load strictly or not at all, and every refusal says why."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from napari_edgeflow.errors import WeightsError
from napari_edgeflow.nn.base import InteractiveNetwork
from napari_edgeflow.nn.edgeflow import EdgeFlow, EdgeFlowConfig
from napari_edgeflow.nn.flow import FlowAlign
from napari_edgeflow.nn.hrnet import HRNetConfig
from napari_edgeflow.zoo.build import (
    build_network,
    load_weights,
    network_names,
    read_metadata,
    save_weights,
    to_channels_last,
)

State = dict[str, Tensor]


def _network(seed: int = 0, *, width: int = 4) -> InteractiveNetwork:
    torch.manual_seed(seed)
    backbone = HRNetConfig(width, 1, 1, 1, 1)
    return EdgeFlow(EdgeFlowConfig(backbone, ocr_channels=4, align_channels=4, fine_width=4))


@pytest.fixture(scope="module")
def source() -> InteractiveNetwork:
    return _network(1)


@pytest.fixture
def weights(tmp_path: Path, source: InteractiveNetwork) -> Path:
    path = tmp_path / "model.safetensors"
    save_weights(source.state_dict(), path, {"network": "tiny", "step": "7"})
    return path


def _floats(network: InteractiveNetwork) -> State:
    return {n: v.clone() for n, v in network.state_dict().items() if v.is_floating_point()}


def test_round_trip(source: InteractiveNetwork, weights: Path) -> None:
    target = _network(2)
    load_weights(target, weights)
    expected = _floats(source)
    assert all(torch.equal(value, expected[name]) for name, value in _floats(target).items())
    assert read_metadata(weights) == {"network": "tiny", "step": "7"}
    assert [item.name for item in weights.parent.iterdir()] == [weights.name]


def test_weights_are_as_readable_as_any_file(weights: Path) -> None:
    plain = weights.parent / "plain"
    plain.touch()
    assert weights.stat().st_mode == plain.stat().st_mode


def test_half_precision_keeps_three_digits(source: InteractiveNetwork, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    save_weights(source.state_dict(), path, {}, half=True)
    assert {value.dtype for value in load_file(path).values()} == {torch.float16}
    target = _network(2)
    load_weights(target, path)
    expected = _floats(source)
    for name, value in _floats(target).items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, expected[name], rtol=2**-11, atol=2**-24)


def _rename_one(state: State) -> None:
    state["feature_extractor.conv9.weight"] = state.pop("feature_extractor.conv1.weight")


def _drop_one(state: State) -> None:
    del state["feature_extractor.conv1.weight"]


def _add_one(state: State) -> None:
    state["more.weight"] = torch.zeros(3)


def _reshape_one(state: State) -> None:
    weight = state["feature_extractor.conv1.weight"]
    state["feature_extractor.conv1.weight"] = weight[:1].clone()


@pytest.mark.parametrize(
    ("damage", "names"),
    [
        (_drop_one, ["1 parameters", "feature_extractor.conv1.weight"]),
        (_add_one, ["1 parameters", "more.weight"]),
        (_reshape_one, ["1 parameters", "feature_extractor.conv1.weight"]),
        (_rename_one, ["2 parameters", "conv1.weight", "conv9.weight"]),
    ],
)
def test_one_wrong_parameter_is_enough(
    weights: Path, damage: Callable[[State], None], names: list[str]
) -> None:
    state = load_file(weights)
    damage(state)
    save_file(state, weights)
    target = _network(2)
    before = _floats(target)
    with pytest.raises(WeightsError, match="another network") as caught:
        load_weights(target, weights)
    assert all(name in str(caught.value) for name in names)
    assert str(weights) in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in _floats(target).items())


def test_weights_of_another_network(weights: Path) -> None:
    with pytest.raises(WeightsError, match="another network"):
        load_weights(_network(width=6), weights)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _truncate_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\n" * 10)


class _Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.write_text, (self.flag, "ran")


def _pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps(_Bomb(path.parent / "ran")))


def _torch_file(path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, path)


def _missing(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    "damage", [_truncate, _truncate_header, _empty, _text, _pickled, _torch_file, _missing]
)
def test_a_file_that_is_no_weights(weights: Path, damage: Callable[[Path], None]) -> None:
    damage(weights)
    target = _network(2)
    before = _floats(target)
    with pytest.raises(WeightsError, match="not a readable safetensors file") as caught:
        load_weights(target, weights)
    assert str(weights) in str(caught.value)
    assert not (weights.parent / "ran").exists(), "the file's code was run"
    assert all(torch.equal(value, before[name]) for name, value in _floats(target).items())


def test_unknown_networks_list_the_known() -> None:
    with pytest.raises(ValueError, match="edgeflow-99") as caught:
        build_network("edgeflow-99")
    assert all(name in str(caught.value) for name in network_names())


def test_unknown_align_targets_list_the_known() -> None:
    with pytest.raises(ValueError, match=r"sideways.*image.*interaction"):
        build_network("edgeflow-18xs", align="sideways")


def test_align_overrides_the_architecture() -> None:
    for target in ("image", "interaction"):
        network = build_network("edgeflow-18xs", align=target)
        assert isinstance(network, EdgeFlow)
        align = network.feature_extractor.warp1_align
        assert isinstance(align, FlowAlign)
        assert align.target == target


def test_channels_last_changes_the_layout_alone() -> None:
    network = _network(3).eval()
    image = torch.rand(1, 3, 32, 32)
    rest = torch.zeros(1, 2, 32, 32), torch.zeros(1, 1, 32, 32)
    with torch.no_grad():
        expected = network(image, *rest).mask_logits
        to_channels_last(network, torch.device("cpu"))
        found = network(image, *rest).mask_logits
    kernels = [p for p in network.parameters() if p.ndim == 4]
    assert all(k.is_contiguous(memory_format=torch.channels_last) for k in kernels)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
