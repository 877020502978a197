"""Selection and refinement: which clicks do what, where, and by which layers."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tests.nn.cases import Case, largest_difference, make_case, view_of
from tests.nn.conftest import shake
from torch import Tensor, nn

from napari_edgeflow._types import Click
from napari_edgeflow.clicks.encode import gaussian_maps, point_list
from napari_edgeflow.nn.base import NetworkOutput, NetworkSpec
from napari_edgeflow.nn.hrnet import HRNetConfig
from napari_edgeflow.nn.points import gaussian_map
from napari_edgeflow.nn.resnet import ResNetConfig
from napari_edgeflow.nn.roi import paste, roi_align
from napari_edgeflow.nn.two_in_one import TWO_IN_ONE, TWO_IN_ONE_PNR, TwoInOne, TwoInOneConfig

BOUNDARY = TwoInOneConfig(
    HRNetConfig(4, 1, 1, 1, 1), channels=8, refine_channels=(8, 6, 4), roi_side=6, padding_px=3
)
SIGNS = replace(BOUNDARY, refinement="signs")
ON_RESNET = replace(BOUNDARY, backbone=ResNetConfig("basic", (1, 1, 1, 1), "plain", 4))
CONFIGS = {"boundary": BOUNDARY, "signs": SIGNS, "resnet": ON_RESNET}
FIRST = Click(10, 20)


def _built(config: TwoInOneConfig, seed: int = 0) -> TwoInOne:
    torch.manual_seed(seed)
    network = TwoInOne(config)
    shake(network, seed)
    for head in (network.selection.head, network.refinement.head):
        nn.init.normal_(head.weight, std=0.3)
    return network.eval()


@pytest.fixture(params=list(CONFIGS))
def network(request: pytest.FixtureRequest) -> TwoInOne:
    return _built(CONFIGS[request.param])


def _correction(network: TwoInOne, y: float = 30, x: float = 33) -> Click:
    kind = network.spec.click_kinds[1]
    return Click.of_kind(y, x, kind)


def _case(network: TwoInOne, size: tuple[int, int] = (48, 40)) -> Case:
    """A view with a correction, and one without."""
    return make_case(network.spec, [[FIRST, _correction(network)], [Click(5, 6)]], size)


@torch.no_grad()
def _run(network: TwoInOne, case: Case) -> NetworkOutput:
    output = network(*case)
    assert isinstance(output, NetworkOutput)
    return output


@pytest.mark.parametrize("size", [(48, 40), (33, 47), (65, 17)])
def test_any_size_comes_out_as_it_went_in(network: TwoInOne, size: tuple[int, int]) -> None:
    clicks = [[Click(3, 4), _correction(network, 9, 9)]]
    output = _run(network, make_case(network.spec, clicks, size))
    for logits in (output.mask_logits, output.coarse_logits):
        assert logits.shape == (1, 1, *size)
        assert torch.isfinite(logits).all()
    assert output.edge_logits is None
    assert output.aux_logits is None


def test_a_view_without_corrections_gets_the_selection(network: TwoInOne) -> None:
    output = _run(network, _case(network))
    assert torch.equal(output.mask_logits[1], output.coarse_logits[1])
    assert largest_difference(output.mask_logits[0], output.coarse_logits[0]) > 1e-2


def test_a_batch_is_its_views_one_by_one(network: TwoInOne) -> None:
    case = _case(network)
    together = _run(network, case).mask_logits
    for index in range(2):
        alone = _run(network, view_of(case, index)).mask_logits
        torch.testing.assert_close(together[index : index + 1], alone, rtol=1e-4, atol=1e-4)


def test_without_refines_only_the_selection_answers(network: TwoInOne) -> None:
    case = _case(network)
    refined = _run(network, case)
    network.refines = False
    selected = _run(network, case)
    assert torch.equal(selected.mask_logits, refined.coarse_logits)


def test_the_selection_sees_the_first_positive_click_alone(network: TwoInOne) -> None:
    size = (48, 40)
    more = [FIRST, _correction(network), Click(40, 5)]
    one, many = (
        _run(network, make_case(network.spec, [clicks], size)) for clicks in ([FIRST], more)
    )
    assert torch.equal(one.coarse_logits, many.coarse_logits)
    other = _run(network, make_case(network.spec, [[Click(40, 5)]], size))
    assert largest_difference(one.coarse_logits, other.coarse_logits) > 1e-3


@torch.no_grad()
def test_selection_is_colours_and_click_through_its_layers(network: TwoInOne) -> None:
    image, maps, prior, points = make_case(network.spec, [[FIRST]], (48, 40))
    assert maps[0, 0].max() == 1, "the positive map holds the selection click alone here"
    colours = (image - network.get_buffer("image_mean")) / network.get_buffer("image_std")
    logits, _ = network.selection(colours, maps[:, :1])
    expected = F.interpolate(logits, size=(48, 40), mode="bilinear", align_corners=True)
    found = network(image, maps, prior, points).coarse_logits
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def _centre_selected(logits: Tensor) -> Tensor:
    """Logits that see the object in rows 12…25 and columns 8…19 alone."""
    seen = torch.full_like(logits, -7.0)
    seen[..., 12:26, 8:20] = -6.0  # 0.0025
    return seen


@torch.no_grad()
def test_refinement_is_eq_4_on_the_box_and_the_box_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = _built(BOUNDARY)
    clicks = [Click(15, 15), Click(30, 12, is_boundary=True)]
    image, maps, prior, points = make_case(network.spec, [clicks], (48, 40))
    colours = (image - network.get_buffer("image_mean")) / network.get_buffer("image_std")
    _, features = network.selection(colours, maps[:, :1])
    selected = _centre_selected(torch.empty(1, 1, 48, 40))
    monkeypatch.setattr(network.selection, "forward", lambda *_: (selected, features))
    # Object and both clicks: rows 12…30 and columns 8…19, three pixels more on each side.
    boxes = torch.tensor([[9.0, 5.0, 34.0, 23.0]])
    crop = roi_align(features, boxes, (48, 40), (6, 6))
    even = (crop - crop.mean((2, 3), keepdim=True)) / torch.sqrt(
        crop.var((2, 3), unbiased=False, keepdim=True) + 1e-5
    )
    x = torch.cat([even, roi_align(maps[:, 1:], boxes, (48, 40), (6, 6))], dim=1)
    for index in (0, 3, 6):
        conv, norm = network.refinement.blocks[index], network.refinement.blocks[index + 1]
        x = norm(conv(x)).relu()
    expected = paste(network.refinement.head(x), boxes, selected)
    found = network(image, maps, prior, points).mask_logits
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    is_outside = torch.ones(48, 40, dtype=torch.bool)
    is_outside[9:34, 5:23] = False
    assert torch.equal(found[0, 0][is_outside], selected[0, 0][is_outside])
    assert largest_difference(found, selected) > 0.1


def test_the_box_stays_in_the_view_and_is_the_view_when_nothing_is_seen() -> None:
    network = _built(BOUNDARY)
    nothing = torch.full((1, 1, 48, 40), -9.0)
    none = torch.full((1, 1, 3), -1.0)
    assert network._boxes(nothing, none).tolist() == [[0, 0, 48, 40]]
    corner = nothing.clone()
    corner[..., 47, 0] = 0
    assert network._boxes(corner, none).tolist() == [[44, 0, 48, 4]]
    click = torch.tensor([[[0.0, 39.0, 1.0]]])
    assert network._boxes(corner, click).tolist() == [[0, 0, 48, 40]]


def test_every_correction_counts_and_its_order_does_not(network: TwoInOne) -> None:
    size = (48, 40)
    clicks = [FIRST, _correction(network), _correction(network, 4, 36), _correction(network, 47, 0)]
    whole = _run(network, make_case(network.spec, [clicks], size)).mask_logits
    swapped = [clicks[0], clicks[3], clicks[1], clicks[2]]
    other = _run(network, make_case(network.spec, [swapped], size)).mask_logits
    torch.testing.assert_close(other, whole, rtol=1e-4, atol=1e-4)
    for index in (1, 2, 3):
        fewer = [click for i, click in enumerate(clicks) if i != index]
        less = _run(network, make_case(network.spec, [fewer], size)).mask_logits
        assert largest_difference(whole, less) > 1e-3


def test_signed_refinement_tells_positive_from_negative() -> None:
    network = _built(SIGNS)
    lists = [[FIRST, Click(30, 33, sign)] for sign in (True, False)]
    positive, negative = (
        _run(network, make_case(network.spec, [clicks], (48, 40))).mask_logits for clicks in lists
    )
    assert largest_difference(positive, negative) > 1e-2


def test_boundary_refinement_takes_no_second_positive_click() -> None:
    network = _built(BOUNDARY)
    one = _run(network, make_case(network.spec, [[FIRST]], (48, 40))).mask_logits
    two = _run(network, make_case(network.spec, [[FIRST, Click(30, 33)]], (48, 40))).mask_logits
    assert torch.equal(one, two)
    assert network.spec.click_kinds == ("positive", "boundary")
    assert network.spec.prior == "none"


def test_gradients_reach_every_parameter(network: TwoInOne) -> None:
    network.train()
    output: NetworkOutput = network(*_case(network))
    draw = torch.Generator().manual_seed(1)
    loss = torch.zeros(())
    for logits in (output.mask_logits, output.coarse_logits):
        loss = loss + (logits * torch.randn(logits.shape, generator=draw)).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name


def test_a_state_dict_brings_the_network_back(network: TwoInOne) -> None:
    stored = io.BytesIO()
    torch.save(network.state_dict(), stored)
    stored.seek(0)
    other = _built(network.config, seed=3)
    case = _case(network)
    expected = _run(network, case).mask_logits
    assert largest_difference(_run(other, case).mask_logits, expected) > 1e-2
    other.load_state_dict(torch.load(stored, weights_only=True))
    torch.testing.assert_close(_run(other, case).mask_logits, expected)
    assert torch.equal(_run(network, case).mask_logits, expected), "eval repeats itself"


def test_preparing_for_inference_keeps_the_answers(network: TwoInOne) -> None:
    case = _case(network)
    before = _run(network, case)
    network.prepare_inference()
    assert not any(isinstance(child, nn.BatchNorm2d) for child in network.modules())
    after = _run(network, case)
    for old, new in ((before.mask_logits, after.mask_logits), (before[1], after[1])):
        torch.testing.assert_close(new, old, rtol=1e-3, atol=1e-3)


def test_points_are_needed(network: TwoInOne) -> None:
    image, maps, prior, _ = _case(network)
    with pytest.raises(ValueError, match="point_list"):
        network(image, maps, prior)


def test_the_published_size_is_eq_4() -> None:
    with torch.device("meta"):
        boundary, signs = TwoInOne(TWO_IN_ONE), TwoInOne(TWO_IN_ONE_PNR)
    convolutions = [m for m in boundary.refinement.modules() if isinstance(m, nn.Conv2d)]
    shapes = [(m.in_channels, m.out_channels, m.kernel_size[0]) for m in convolutions]
    assert shapes == [(513, 512, 3), (512, 256, 3), (256, 256, 3), (256, 1, 1)]
    assert signs.refinement.blocks[0].in_channels == 514
    assert boundary.selection.head.in_channels == 512
    assert boundary.spec.click_radius_px == 10


def test_gaussians_are_those_of_the_click_maps() -> None:
    spec = NetworkSpec(click_kinds=("positive", "negative"))
    clicks = [Click(3.6, 8), Click(20, 30), Click(5, 5, False)]
    points = torch.from_numpy(point_list(clicks, spec, 5))[None]
    for channel in range(2):
        found = gaussian_map(points, points[..., 2] == channel, (25, 33), 4.0)
        expected = torch.from_numpy(gaussian_maps(clicks, (25, 33), 4.0))
        torch.testing.assert_close(found[0, 0], expected[channel], rtol=0, atol=4e-6)
