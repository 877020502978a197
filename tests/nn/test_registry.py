"""What holds for every registered network, whatever its family."""

from __future__ import annotations

import pytest
import torch

from napari_edgeflow.nn.edgeflow import EdgeFlowConfig
from napari_edgeflow.zoo.build import FAMILIES, REGISTRY, build_network, network_names

# EdgeFlow's own tests run the real networks; colour cues cannot run without values.
OTHERS = [n for n in network_names() if not isinstance(REGISTRY[n], EdgeFlowConfig)]


@pytest.mark.parametrize("name", network_names())
def test_every_configuration_has_a_family(name: str) -> None:
    assert type(REGISTRY[name]) in FAMILIES


@pytest.mark.parametrize("name", OTHERS)
def test_every_network_answers_at_the_input_s_size(name: str) -> None:
    """Run without values: the largest networks would take seconds."""
    with torch.device("meta"):
        network = build_network(name).eval()
        kinds = len(network.spec.click_kinds)
        output = network(
            torch.empty(2, 3, 65, 47),
            torch.empty(2, kinds, 65, 47),
            torch.empty(2, 1, 65, 47),
            torch.empty(2, 3, 3),
        )
    for logits in (output.mask_logits, output.coarse_logits, output.edge_logits):
        assert logits is None or logits.shape == (2, 1, 65, 47)
    assert output.aux_logits is None
    if network.spec.prior == "edge":
        assert output.edge_logits is not None


def test_settings_override_the_configuration() -> None:
    with torch.device("meta"):
        network = build_network("ritm-h18s", settings={"input_scheme": "dmf", "prior": "none"})
    assert network.spec.prior == "none"
    assert hasattr(network, "rgb_conv")


def test_unknown_settings_and_choices_are_named() -> None:
    with pytest.raises(ValueError, match=r"ritm-h18s has no setting 'align'.*input_scheme"):
        build_network("ritm-h18s", align="image")
    with pytest.raises(ValueError, match=r"input_scheme.*'conv2'.*conv1s, conv1e, dmf"):
        build_network("ritm-h18s", settings={"input_scheme": "conv2"})
