"""The point cloud of the HBNODE paper, §5.1, its models and their training."""

from __future__ import annotations

import pytest
import torch

from grandpp.image import POINT_CLOUD_MODELS, PointCloudClassifier, describe, point_cloud

COUNTS = {
    "node": 525,
    "anode": 567,
    "sonode": 527,
    "hbnode": 568,
    "ghbnode": 569,
    "adamnode": 569,
    "ghbnode-hardtanh": 569,
}


def test_points_are_uniform_in_a_disc_and_a_ring():
    x, target = point_cloud(3)
    radius = x.norm(dim=1)
    assert x.shape == (120, 2)
    assert x.dtype == torch.float64
    assert float(radius[:40].max()) < 0.5
    assert 0.85 < float(radius[40:].min()) <= float(radius.max()) < 1.0
    assert target.tolist() == [-1.0] * 40 + [1.0] * 80
    assert torch.equal(point_cloud(3)[0], x)
    assert not torch.equal(point_cloud(4)[0], x)
    many, _ = point_cloud(0, 4000, 4000)
    # Uniform areas: half of the disc lies outside of the radius 0.5 / sqrt(2).
    share = (many[:4000].norm(dim=1) > 0.5 * 0.5**0.5).double().mean()
    assert float(share) == pytest.approx(0.5, abs=0.03)
    assert float(many.mean(0).norm()) < 0.03


@pytest.mark.parametrize("model", POINT_CLOUD_MODELS)
def test_models_have_the_papers_number_of_parameters(model):
    found = describe(model)
    assert found["parameters"] == COUNTS[model]
    assert sum(layer["parameters"] for layer in found["layers"]) == COUNTS[model]


def test_scores_lie_between_the_targets_and_gradients_agree():
    x, _ = point_cloud(0)
    gradients = []
    for gradient in ("direct", "adjoint", "checkpoint"):
        torch.manual_seed(0)
        net = PointCloudClassifier("ghbnode", gradient=gradient)
        score = net(x)
        assert score.shape == (120,)
        assert float(score.detach().abs().max()) < 1
        score.sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    torch.testing.assert_close(gradients[2], gradients[0], atol=1e-10, rtol=1e-8)
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-4, rtol=1e-4)


def test_an_unknown_model_is_named():
    with pytest.raises(ValueError, match=r"node, anode.*\(got 'cnn'\)"):
        PointCloudClassifier("cnn")
