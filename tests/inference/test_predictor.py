from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_edgeflow._types import Click
from napari_edgeflow.clicks.encode import click_maps
from napari_edgeflow.errors import DeviceError, WeightsError
from napari_edgeflow.inference.device import describe_device, resolve_device, resolve_precision
from napari_edgeflow.inference.predictor import Predictor, RawPrediction, network_shape
from napari_edgeflow.nn.base import NetworkSpec
from napari_edgeflow.nn.edgeflow import EDGEFLOW_18S, EdgeFlow
from napari_edgeflow.nn.hrnet import HRNetConfig

TINY = replace(
    EDGEFLOW_18S,
    backbone=HRNetConfig(4, 1, 1, 1, 1),
    ocr_channels=8,
    align_channels=8,
    fine_width=4,
)


def _network(spec: NetworkSpec | None = None) -> EdgeFlow:
    torch.manual_seed(0)
    return EdgeFlow(TINY, spec)


def _image(shape: tuple[int, int] = (48, 64)) -> np.ndarray:
    return np.random.default_rng(0).random((*shape, 3)).astype(np.float32)


def test_numpy_in_numpy_out_equals_the_network_itself() -> None:
    network = _network().eval()
    clicks = [Click(10, 12), Click(30, 50, is_positive=False)]
    prior = np.random.default_rng(1).random((48, 64)).astype(np.float32)
    maps = np.zeros((1, 2, 48, 64), np.float32)
    rows, columns = np.mgrid[0:48, 0:64]
    maps[0, 0][(rows - 10) ** 2 + (columns - 12) ** 2 <= 25] = 1
    maps[0, 1][(rows - 30) ** 2 + (columns - 50) ** 2 <= 25] = 1
    with torch.inference_mode():
        expected = network(
            torch.from_numpy(_image()).permute(2, 0, 1)[None],
            torch.from_numpy(maps),
            torch.from_numpy(prior)[None, None],
        )
    predictor = Predictor(network, name="tiny", device="cpu", precision="float32")
    raw = predictor.predict(_image(), clicks, prior)
    assert isinstance(raw, RawPrediction)
    np.testing.assert_allclose(raw.logits, expected.mask_logits[0, 0], atol=1e-4)
    np.testing.assert_allclose(raw.prior, torch.sigmoid(expected.edge_logits[0, 0]), atol=1e-4)


def test_side_of_the_views_is_that_of_the_weights_or_of_the_network() -> None:
    assert Predictor(_network(), name="tiny", device="cpu").input_side == 256
    assert Predictor(_network(), name="tiny", device="cpu", input_side=160).input_side == 160


def test_no_prior_is_a_prior_of_zeros() -> None:
    predictor = Predictor(_network(), name="tiny", device="cpu")
    without = predictor.predict(_image(), [Click(5, 5)], None)
    zeros = predictor.predict(_image(), [Click(5, 5)], np.zeros((48, 64), np.float32))
    assert np.array_equal(without.logits, zeros.logits)


def test_prior_of_another_shape_is_refused() -> None:
    predictor = Predictor(_network(), name="tiny", device="cpu")
    with pytest.raises(ValueError, match="prior must be"):
        predictor.predict(_image(), [], np.zeros((48, 48), np.float32))


def test_prior_kind_decides_what_is_fed_back() -> None:
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    edge = Predictor(_network(NetworkSpec(prior="edge")), name="e", device="cpu")
    whole = Predictor(_network(NetworkSpec(prior="mask")), name="m", device="cpu")
    assert whole.prior_from_mask(mask).sum() == 100
    assert edge.prior_from_mask(mask)[10, 10] == 0
    assert edge.prior_from_mask(mask)[5, 10] == edge.prior_from_mask(mask)[4, 10] == 1
    raw = whole.predict(_image(), [Click(5, 5)], None)
    np.testing.assert_allclose(raw.prior, 1 / (1 + np.exp(-raw.logits)), atol=1e-5)


def test_device_names() -> None:
    assert resolve_device("cpu").type == "cpu"
    with pytest.raises(ValueError, match="auto, cpu, cuda"):
        resolve_device("tpu")
    assert resolve_device(torch.device("cpu")).type == "cpu"
    with pytest.raises(ValueError, match="auto, cpu, cuda"):
        resolve_device(None)  # type: ignore[arg-type]
    assert "CPU" in describe_device(torch.device("cpu"), "float32")


def test_weights_are_found_by_text_and_by_path(tmp_path: Path) -> None:
    missing = tmp_path / "mine.safetensors"
    for name in (missing, str(missing)):
        with pytest.raises(WeightsError, match="No such file"):
            Predictor.from_zoo(name, device="cpu")


def test_bfloat16_is_used_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    for feature in ("avx512_bf16", "amx_bf16"):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda f=feature: {f: True}, False)
        assert resolve_precision("auto", cpu) is torch.bfloat16
        assert resolve_precision("float32", cpu) is torch.float32
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False}, False)
    assert resolve_precision("auto", cpu) is torch.float32
    assert resolve_precision("bfloat16", cpu) is torch.bfloat16
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert resolve_precision("auto", cpu) is torch.float32
    assert resolve_precision("auto", torch.device("cuda")) is torch.bfloat16
    with pytest.raises(ValueError, match="precision must be one of auto, float32, bfloat16"):
        resolve_precision("float16", cpu)


def test_precisions_agree_on_the_mask_and_are_told_to_the_user() -> None:
    exact = Predictor.from_zoo(device="cpu", precision="float32")
    quick = Predictor.from_zoo(device="cpu", precision="bfloat16")
    image, clicks = _image(), [Click(10, 10)]
    one, other = (p.predict(image, clicks, None).logits for p in (exact, quick))
    assert not np.array_equal(one, other)
    assert np.mean((one > 0) == (other > 0)) > 0.98
    assert "float32" in exact.device_line
    assert "bfloat16" in quick.device_line


def test_a_glance_is_the_coarse_answer() -> None:
    network = _network()
    predictor = Predictor(network, name="tiny", device="cpu", precision="float32")
    image, clicks = _image(), [Click(10, 12), Click(20, 5, is_positive=False)]
    maps = torch.from_numpy(click_maps(clicks, image.shape[:2], network.spec))[None]
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
    with torch.inference_mode():
        coarse = network(pixels, maps, torch.zeros(1, 1, *image.shape[:2])).coarse_logits
    np.testing.assert_allclose(predictor.glance(image, clicks), coarse[0, 0].numpy(), atol=1e-4)


def test_a_device_that_is_not_there_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto").type == "cpu"
    with pytest.raises(DeviceError, match="use device 'cpu' or 'auto'"):
        Predictor(_network(), name="tiny", device="cuda")


def test_a_gpu_number_that_is_not_there_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert resolve_device("cuda:0") == torch.device("cuda", 0)
    with pytest.raises(DeviceError, match="there are 1"):
        resolve_device("cuda:3")


@pytest.mark.gpu
def test_gpu_gives_the_mask_of_the_cpu() -> None:
    clicks = [Click(10, 12), Click(30, 50, is_positive=False)]
    on_cpu = Predictor(_network(), name="tiny", device="cpu").predict(_image(), clicks, None)
    on_gpu = Predictor(_network(), name="tiny", device="cuda").predict(_image(), clicks, None)
    scale = float(np.abs(on_cpu.logits).max())
    assert np.abs(on_cpu.logits - on_gpu.logits).max() < 0.05 * max(scale, 1.0)


def test_warming_up_changes_no_answer() -> None:
    cold = Predictor(_network(), name="tiny", device="cpu", precision="float32", input_side=40)
    warm = Predictor(_network(), name="tiny", device="cpu", precision="float32", input_side=40)
    seen: list[tuple[int, ...]] = []
    warm._network.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0].shape))
    warm.warm_up()
    assert {tuple(shape[-2:]) for shape in seen} == {network_shape((500, 500), 40)}
    clicks = [Click(10, 10)]
    np.testing.assert_array_equal(
        cold.predict(_image(), clicks, None).logits, warm.predict(_image(), clicks, None).logits
    )


def test_several_views_at_once_are_answered_like_one_by_one() -> None:
    predictor = Predictor(_network(), name="tiny", device="cpu", precision="float32")
    rng = np.random.default_rng(2)
    images = [rng.random((48, 64, 3)).astype(np.float32) for _ in range(3)]
    clicks = [[Click(9, 9)], [], [Click(20, 30), Click(40, 5, is_positive=False)]]
    priors = [rng.random((48, 64)).astype(np.float32) for _ in range(3)]
    together = predictor.predict_batch(images, clicks, priors)
    for raw, image, shown, prior in zip(together, images, clicks, priors, strict=True):
        alone = predictor.predict(image, shown, prior)
        np.testing.assert_allclose(raw.logits, alone.logits, atol=1e-4)
        np.testing.assert_allclose(raw.prior, alone.prior, atol=1e-4)
