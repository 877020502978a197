"""What holds for every registered network, whatever its family."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from napari_edgeflow._types import Click
from napari_edgeflow.inference.predictor import Predictor
from napari_edgeflow.nn.edgeflow import EDGEFLOW_18XS, EdgeFlow, EdgeFlowConfig
from napari_edgeflow.nn.ritm import RITM, RITM_H18S
from napari_edgeflow.zoo.build import FAMILIES, REGISTRY, build_network, network_names, save_weights

# EdgeFlow's own tests run the real networks.
OTHERS = [n for n in network_names() if not isinstance(REGISTRY[n], EdgeFlowConfig)]


@pytest.mark.parametrize("name", network_names())
def test_every_configuration_has_a_family(name: str) -> None:
    assert type(REGISTRY[name]) in FAMILIES


@pytest.mark.parametrize("name", OTHERS)
def test_every_network_answers_at_the_input_s_size(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all weights zero: drawing those of the largest networks would take seconds."""
    for rule in ("kaiming_normal_", "kaiming_uniform_", "uniform_", "normal_"):
        monkeypatch.setattr(nn.init, rule, lambda tensor, *_, **__: nn.init.zeros_(tensor))
    network = build_network(name).eval()
    kinds = len(network.spec.click_kinds)
    with torch.inference_mode():
        output = network(
            torch.rand(2, 3, 65, 47),
            torch.zeros(2, kinds, 65, 47),
            torch.zeros(2, 1, 65, 47),
            torch.tensor([[[30.0, 20.0, 0.0], [-1.0, -1.0, -1.0]]] * 2),
        )
    for logits in (output.mask_logits, output.coarse_logits, output.edge_logits):
        assert logits is None or logits.shape == (2, 1, 65, 47)
    assert output.aux_logits is None
    if network.spec.prior == "edge":
        assert output.edge_logits is not None


def test_settings_in_the_name_override_the_configuration() -> None:
    network = build_network("ritm-h18s:input_scheme=dmf, prior=none,click_radius_px=3")
    residual = build_network("edgeflow-18xs:fine_residual=false,fine_width=8")
    assert isinstance(network, RITM)
    assert network.config == replace(
        RITM_H18S, input_scheme="dmf", prior="none", click_radius_px=3.0
    )
    assert isinstance(residual, EdgeFlow)
    assert residual.config == replace(EDGEFLOW_18XS, fine_residual=False, fine_width=8)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ritm-h18s:align=image", r"ritm-h18s has no setting 'align'.*input_scheme"),
        ("ritm-h18s:backbone=resnet", r"no setting 'backbone'"),
        ("ritm-h18s:input_scheme=conv2", r"input_scheme.*'conv2'.*conv1s, conv1e, dmf"),
        ("ritm-h18s:click_radius_px=five", r"click_radius_px.*'five'.*a number"),
        ("edgeflow-18:fine_width=8.5", r"fine_width.*'8.5'.*a whole number"),
        ("edgeflow-18:fine_residual=1", r"fine_residual.*'1'.*true, false"),
        ("ritm-h18s:dmf", r"expected NETWORK:SETTING=VALUE,…, got 'ritm-h18s:dmf'"),
        ("ritm-h19:prior=none", r"no network is called 'ritm-h19'; known are .*ritm-h18s"),
    ],
)
def test_settings_that_cannot_be_are_named(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_network(name)


def test_align_is_a_setting_of_edgeflow_alone() -> None:
    with pytest.raises(ValueError, match="ritm-h18s has no setting 'align'"):
        build_network("ritm-h18s", align="image")


def test_weights_remember_the_settings(tmp_path: Path) -> None:
    name = "edgeflow-18xs:parts=baseline,prior=mask"
    network = build_network(name).eval()
    path = tmp_path / "ablation.safetensors"
    save_weights(network.state_dict(), path, {"network": name, "licence": "none"})
    image = np.random.default_rng(0).random((48, 64, 3), dtype=np.float32)
    clicks, prior = [Click(20, 30)], np.full((48, 64), 0.5, np.float32)
    expected = Predictor(network, name="made here", device="cpu", precision="float32")
    found = Predictor.from_zoo(path, device="cpu", precision="float32")
    np.testing.assert_array_equal(
        found.predict(image, clicks, prior).logits, expected.predict(image, clicks, prior).logits
    )
