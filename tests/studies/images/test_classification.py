"""Training classifiers of images."""

from __future__ import annotations

import pytest
import torch

from grandpp.image import ODEClassifier
from grandpp.solvers import SolveError
from grandpp.studies.images.classification import ImageClassification, nfe_at_tolerance


def stripes(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy pictures of horizontal and vertical stripes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    ramp = (torch.arange(4) % 2).float()
    pictures = torch.stack([ramp[:, None].expand(4, 4), ramp.expand(4, 4)])[labels]
    return (pictures + 0.1 * torch.rand(count, 4, 4, generator=generator))[:, None], labels


def task(kind: str = "hbnode", seed: int = 0, **options) -> ImageClassification:
    torch.manual_seed(seed)
    net = ODEClassifier(kind, (1, 4, 4), 1 if kind == "node" else 2, 3, 2, tolerance=1e-3)
    options = {"lr": 0.03, "batch_size": 8} | options
    return ImageClassification(net, stripes(20, 1), stripes(10, 2), seed=seed, **options)


@pytest.mark.parametrize("kind", ["node", "hbnode", "adamnode"])
def test_training_learns_and_counts(kind):
    work, steps = task(kind), []
    rows = [work.train_epoch(lambda: steps.append(1)) | work.evaluate() for _ in range(6)]
    assert len(steps) == 6 * work.batches == 18
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert rows[-1]["test_accuracy"] == 1.0
    for name in ("nfe_forward", "nfe_backward", "nfe_test"):
        assert rows[0][name] >= 8


def test_the_seed_decides_the_order_and_the_augmentation():
    losses = [
        task(seed=seed, shift=1, flip=True).train_epoch(lambda: None)["loss"] for seed in (5, 5, 6)
    ]
    assert losses[0] == losses[1] != losses[2]
    plain, moved = task(), task(shift=1)
    # The first draw orders the images in both: only what is done to them differs.
    assert plain.train_epoch(lambda: None)["loss"] != moved.train_epoch(lambda: None)["loss"]


def test_measuring_changes_nothing():
    work = task()
    before = [p.clone() for p in work.model.parameters()], work.generator.get_state()
    first, second = work.evaluate(), work.evaluate()
    assert first == second
    assert 0 <= first["test_accuracy"] <= 1 and first["test_loss"] > 0
    assert all(torch.equal(p, q) for p, q in zip(work.model.parameters(), before[0], strict=True))
    assert torch.equal(work.generator.get_state(), before[1])


def test_evaluations_by_tolerance_leave_the_classifier_as_it_was():
    work = task()
    net, (images, labels) = work.model, work.test
    solver = net.flow.solver
    coarse, fine = (nfe_at_tolerance(net, images, labels, tol, 5) for tol in (1e-2, 1e-6))
    assert coarse["nfe_forward"] < fine["nfe_forward"]
    assert coarse["nfe_backward"] < fine["nfe_backward"]
    assert fine["tolerance"] == 1e-6
    assert fine["accuracy"] == work.evaluate()["test_accuracy"]
    assert net.flow.solver == solver and all(p.grad is None for p in net.parameters())
    torch.nn.init.constant_(net.flow.field.outer.bias, float("nan"))
    with pytest.raises(SolveError):
        nfe_at_tolerance(net, images, labels, 1e-3)
    assert net.flow.solver == solver


@pytest.mark.parametrize(
    "options", [{"lr": 0.0}, {"batch_size": 0}, {"shift": -1}, {"lr": float("nan")}]
)
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="expected lr > 0, batch_size >= 1 and shift >= 0"):
        task(**options)


def test_labels_that_do_not_belong_to_the_images_are_refused():
    net = ODEClassifier("node", (1, 4, 4), 1, 3, 2)
    images, labels = stripes(4, 0)
    with pytest.raises(ValueError, match=r"in 'test'.*\(got 3 and 4\)"):
        ImageClassification(net, (images, labels), (images, labels[:3]))
    with pytest.raises(ValueError, match="in 'train'"):
        ImageClassification(net, (images[:0], labels[:0]), (images, labels))
