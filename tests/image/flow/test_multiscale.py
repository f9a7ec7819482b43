"""The multi-scale flow against its dense Jacobian."""

from __future__ import annotations

import pytest
import torch

from grandpp.image.flow import ContinuousFlow, DenseFlow, MultiscaleFlow
from grandpp.solvers import Proximal, TorchDiffEq

F64 = torch.float64
SHARP = TorchDiffEq("dopri5", rtol=1e-7, atol=1e-7)


def multiscale(shape=(1, 4, 4), scales=2, blocks=1, **options):
    torch.manual_seed(0)
    return MultiscaleFlow(shape, hidden=(5,), scales=scales, blocks=blocks, **options).double()


@pytest.mark.parametrize("kind", ["multiscale", "dense"])
def test_the_change_of_density_is_the_dense_jacobians(kind):
    torch.manual_seed(0)
    if kind == "dense":
        flow = DenseFlow((1, 4, 4), hidden=(9,), blocks=2, divergence="exact", solver=SHARP)
        flow = flow.double()
    else:
        flow = multiscale(divergence="exact", solver=SHARP)
    x = torch.randn(2, 1, 4, 4, dtype=F64)
    latents, change, stats = flow(x)
    assert latents.shape == (2, 16)
    assert len(stats) == (2 if kind == "dense" else 3)

    for module in flow.modules():
        if isinstance(module, ContinuousFlow):
            module.divergence = "rademacher"  # the trace plays no part in where a point goes

    def flat(v):
        return flow(v.view(1, 1, 4, 4)).value.reshape(-1)

    pixels = x[1].reshape(-1)
    jacobian = torch.autograd.functional.jacobian(flat, pixels, vectorize=True)
    expected = torch.linalg.slogdet(jacobian).logabsdet
    assert abs(float(expected)) > 0.02
    torch.testing.assert_close(change[1], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(flow.inverse(latents), x, atol=1e-5, rtol=0)


def test_half_of_the_channels_leave_at_every_scale_but_the_last():
    flow = multiscale((3, 8, 8), scales=3, blocks=2)
    assert flow.latents == [(6, 4, 4), (12, 2, 2), (12, 2, 2)]
    assert sum(c * h * w for c, h, w in flow.latents) == 3 * 8 * 8
    solves = [m for m in flow.modules() if isinstance(m, ContinuousFlow)]
    assert [m.shape[0] for m in solves] == [3, 3, 12, 12, 6, 6, 24, 24, 12, 12]


def test_without_motion_the_latents_are_the_pixels():
    flow = multiscale()
    for parameter in flow.parameters():
        parameter.data.zero_()
    x = torch.randn(2, 1, 4, 4, dtype=F64)
    latents, change, _ = flow(x)
    torch.testing.assert_close(latents.sort(1).values, x.flatten(1).sort(1).values)
    # The first two of four squeezed channels are the upper rows of the blocks.
    torch.testing.assert_close(latents[0, :8].sort().values, x[0, 0, ::2].flatten().sort().values)
    assert change.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "solver",
    ["dopri5", Proximal("prox_bdf2", step_size=0.5, inner="fixed_point", spectral=0.0)],
    ids=["dopri5", "prox_bdf2"],
)
def test_gradients_reach_all_parameters(solver):
    flow = multiscale(solver=solver)
    latents, change, stats = flow(torch.randn(3, 1, 4, 4, dtype=F64))
    (latents.square().sum() - change.sum()).backward()
    assert all(float(p.grad.abs().max()) > 0 for p in flow.parameters())
    assert all(s.nfe_backward > 0 for s in stats)


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match=r"multiples of 4 for 3 scales .got 6 x 8"):
        multiscale((1, 6, 8), scales=3)
    with pytest.raises(ValueError, match="positive 'scales' and 'blocks'"):
        multiscale(blocks=0)
    with pytest.raises(ValueError, match="positive 'blocks'"):
        DenseFlow((3,), blocks=0)
