"""The density model of images: bits per dimension, inverse and samples."""

from __future__ import annotations

import math

import pytest
import torch

from grandpp.image.flow import (
    ARCHITECTURES,
    IMAGE_FLOWS,
    ContinuousFlow,
    ImageFlow,
    MultiscaleFlow,
    describe_flow,
    image_flow,
)
from grandpp.solvers import TorchDiffEq

SHARP = TorchDiffEq("dopri5", rtol=1e-6, atol=1e-6)


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 17, (40, 1, 8, 8), generator=generator) / 16


@pytest.fixture(params=ARCHITECTURES)
def flow(request, images):
    flow = image_flow("digits", request.param, solver=SHARP)
    flow.fit_standardization(images, torch.Generator().manual_seed(0))
    return flow


def test_the_inverse_reconstructs_images(flow, images):
    v = flow.dequantize(images[:6])
    with torch.no_grad():
        latents = flow.encode(v).value
        assert float((flow.decode(latents) - v).abs().max()) < 1e-4
    assert latents.shape == (6, 64)


def test_dequantised_images_lie_above_their_level_and_below_the_next(flow, images):
    v = flow.dequantize(images, torch.Generator().manual_seed(0))
    levels = images * 16
    assert bool((v * 17 >= levels - 1e-4).all() and (v * 17 <= levels + 1 + 1e-4).all())
    assert float((v * 17 - levels).mean()) == pytest.approx(0.5, abs=0.03)


def test_a_flow_that_knows_the_density_measures_its_entropy():
    # Without motion the latents are standard normal where the logits are.
    body = MultiscaleFlow((1, 2, 2), hidden=(3,), scales=1, blocks=1, solver=SHARP)
    flow = ImageFlow((1, 2, 2), body, levels=8, alpha=0.1).double()
    for parameter in flow.parameters():
        parameter.data.zero_()
    images = torch.tensor([0.0, 2.0, 5.0, 7.0]).view(1, 1, 2, 2) / 7
    generator = torch.Generator().manual_seed(0)
    found = flow.log_prob(images, generator).detach()
    v = flow.dequantize(images, torch.Generator().manual_seed(0)).flatten()
    s = 0.1 + 0.8 * v
    normal = torch.distributions.Normal(0.0, 1.0).log_prob((s / (1 - s)).log())
    density = normal + math.log(0.8) - (s * (1 - s)).log()
    assert float(found) == pytest.approx(float(density.sum()) - 4 * math.log(8), rel=1e-9)
    bits = flow.bits_per_dim(found)
    assert float(bits) == pytest.approx(-float(found) / (4 * math.log(2)))
    # A uniform density over all levels takes log2(8) = 3 bits.
    assert float(flow.bits_per_dim(torch.tensor(-4 * math.log(8)))) == pytest.approx(3)


def test_samples_are_images_and_a_seed_repeats_them(flow):
    with torch.no_grad():
        first = flow.sample(3, torch.Generator().manual_seed(1))
        assert torch.equal(first, flow.sample(3, torch.Generator().manual_seed(1)))
        calm = flow.sample(3, torch.Generator().manual_seed(1), temperature=0.0)
    assert first.shape == (3, 1, 8, 8)
    assert set((first * 16).flatten().tolist()) <= set(range(17))
    assert torch.allclose(calm[0], calm[1])
    assert not torch.allclose(first[0], first[1])


def test_another_solver_carries_all_flows(flow):
    flow.use_solver("prox_bdf2")
    carried = [m.solver.method for m in flow.modules() if isinstance(m, ContinuousFlow)]
    assert len(carried) == (1 if len(carried) == 1 else 3)
    assert set(carried) == {"prox_bdf2"}


def test_presets_have_the_papers_networks():
    mnist = describe_flow("mnist")
    assert (mnist["architecture"], mnist["shape"], mnist["levels"]) == (
        "multiscale",
        [1, 28, 28],
        256,
    )
    convolutions = [part for part in mnist["layers"] if part["layer"].startswith("Conv2d")]
    assert len(convolutions) == 10 * 5
    assert sum(part["parameters"] for part in mnist["layers"]) == mnist["parameters"]
    assert all(len(preset.hidden) == 4 for n, preset in IMAGE_FLOWS.items() if n != "digits")


def test_a_seed_decides_the_parameters():
    first, again, other = (image_flow("digits", seed=n).state_dict() for n in (0, 0, 1))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert any(not torch.equal(first[k], other[k]) for k in first)


def test_wrong_input_is_refused(flow):
    with pytest.raises(ValueError, match=r"expected images \[B, 1, 8, 8\] .got \[2, 1, 4, 4\]"):
        flow.log_prob(torch.zeros(2, 1, 4, 4))
    with pytest.raises(ValueError, match="'levels' >= 2"):
        ImageFlow((1, 8, 8), flow.body, levels=1)
    with pytest.raises(ValueError, match="'dataset' to be one of"):
        image_flow("svhn")
    with pytest.raises(ValueError, match="'architecture' to be one of"):
        image_flow("digits", "residual")
