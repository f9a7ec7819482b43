"""Attention and the product with it, as separate operations and fused by Triton's kernels."""

from __future__ import annotations

import pytest
import torch

from grandpp.linalg import (
    CSR,
    attention,
    attention_product,
    paired_attention_weights,
    switch,
    unit_rows,
    use_triton,
)
from grandpp.linalg.row_chunks import RowChunks

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(params=["separate", "fused"])
def way(request):
    """Run a test with the separate operations and with the fused kernel."""
    if request.param == "separate":
        yield request.param
        return
    pytest.importorskip("triton")
    with use_triton():
        yield request.param


def pattern(length=2):
    """A 5 x 4 pattern: a long row with a duplicate, an empty one, and one of a single entry."""
    row = torch.tensor([0, 0, 0, 0, 0, 2, 3, 3, 4, 4], device=DEVICE)
    col = torch.tensor([0, 1, 1, 2, 3, 1, 0, 3, 2, 3], device=DEVICE)
    csr = CSR.from_coo(row, col, 5, 4)
    for matrix in (csr, csr.transpose):
        matrix.__dict__["chunks"] = RowChunks.of(matrix.rowptr, length)
    return csr


def inputs(heads=2, size=3, features=2, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((5, heads, size), (4, heads, size), (4, features))
    q, k, x = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in shapes)
    prior = torch.rand(10, generator=generator, dtype=torch.float64)
    return [v.to(DEVICE, dtype) for v in (q, k, prior, x)]


def dense(csr, q, k, prior, x, normalization):
    """Entry by entry, in float64."""
    q, k, prior, x = (v.double() for v in (q, k, prior, x))
    y = x.new_zeros(csr.num_rows, x.size(1))
    for i in range(csr.num_rows):
        entries = slice(int(csr.rowptr[i]), int(csr.rowptr[i + 1]))
        j, w = csr.col_long[entries], prior[entries, None]
        s = (q[i] * k[j]).sum(-1)
        if not bool((w > 0).any()):
            continue
        if normalization == "softmax":
            p = torch.softmax(s + w.log(), dim=0)
        else:
            p = w * (s + (s.square() + 4).sqrt()) / 2
            p = p / p.sum(0)
        y[i] = p.mean(1) @ x[j]
    return y


@pytest.mark.parametrize("normalization", ["softmax", "squareplus"])
@pytest.mark.parametrize(
    ("heads", "size", "features", "length"),
    [(1, 1, 1, 2), (3, 7, 81, 2), (8, 2, 5, 1), (2, 65, 3, 2), (5, 3, 130, 256)],
)
def test_the_product_equals_the_one_entry_by_entry(
    heads, size, features, length, normalization, way
):
    csr, values = pattern(length), inputs(heads, size, features)
    y = attention_product(csr, *values, normalization)
    torch.testing.assert_close(y, dense(csr, *values, normalization))


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float32, 1e-5), (torch.float16, 5e-3), (torch.bfloat16, 4e-2)],
)
def test_every_precision(dtype, tolerance, way):
    csr, values = pattern(), inputs(dtype=dtype)
    y = attention_product(csr, *values)
    assert y.dtype == dtype
    expected = dense(csr, *values, "softmax")
    torch.testing.assert_close(y.double(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("normalization", ["softmax", "squareplus"])
def test_entries_of_prior_zero_do_not_count_and_rows_of_them_give_zero(normalization, way):
    csr = pattern()
    q, k, prior, x = inputs()
    prior[csr.row == 3] = 0
    prior[1] = 0
    k[1] *= 1e4  # the largest score of row 0, of an entry that does not count
    prior[2] = 0
    y = attention_product(csr, q, k, prior, x, normalization)
    assert bool((y[3] == 0).all())
    assert bool((y[1] == 0).all())
    torch.testing.assert_close(y, dense(csr, q, k, prior, x, normalization))


@pytest.mark.parametrize("normalization", ["softmax", "squareplus"])
@pytest.mark.parametrize("scale", [1e3, -1e3])
def test_large_scores_do_not_overflow(scale, normalization, way):
    csr = pattern()
    q, k, prior, x = inputs(dtype=torch.float32)
    y = attention_product(csr, scale * q, k, prior, x, normalization)
    assert bool(y.isfinite().all())
    expected = dense(csr, scale * q, k, prior, x, normalization)
    torch.testing.assert_close(y.double(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("normalization", ["softmax", "squareplus"])
def test_first_and_second_derivatives_are_right(normalization):
    csr = pattern()
    values = [v.requires_grad_() for v in inputs(heads=1, size=1, features=1)]

    def product(*v):
        return attention_product(csr, *v, normalization)

    assert torch.autograd.gradcheck(product, values, fast_mode=True)
    assert torch.autograd.gradgradcheck(product, values, fast_mode=True)


def derivatives(product, values):
    """A product, its gradients, and theirs."""
    values = [v.detach().requires_grad_() for v in values]
    y = product(*values)
    first = torch.autograd.grad(y.square().sum(), values, create_graph=True)
    second = torch.autograd.grad(sum(g.square().sum() for g in first), values)
    (plain,) = torch.autograd.grad(product(*values).square().sum(), values[0])
    return [y, plain, *first, *second]


@pytest.mark.parametrize("normalization", ["softmax", "squareplus"])
@pytest.mark.parametrize("shared", [False, True])
def test_both_ways_have_the_same_first_and_second_derivatives(shared, normalization):
    pytest.importorskip("triton")
    csr, (q, k, prior, x) = pattern(), inputs(size=2, heads=1)

    def apart(q, k, prior, x):
        return attention_product(csr, q, k, prior, x, normalization)

    def together(x, prior):  # one tensor in two places
        return attention_product(csr, q, x.view(4, 1, 2), prior, x, normalization)

    product, values = (together, (x, prior)) if shared else (apart, (q, k, prior, x))
    expected = derivatives(product, values)
    with use_triton():
        found = derivatives(product, values)
    torch.testing.assert_close(found, expected)


def test_only_what_asks_for_a_gradient_gets_one(way):
    q, k, prior, x = inputs()
    k.requires_grad_()
    attention_product(pattern(), q, k, prior, x).sum().backward()
    assert k.grad is not None
    assert q.grad is prior.grad is x.grad is None


def test_the_fused_product_stores_no_scores(monkeypatch):
    pytest.importorskip("triton")
    csr, values = pattern(), [v.requires_grad_() for v in inputs()]
    saved = []
    with use_triton(), torch.autograd.graph.saved_tensors_hooks(saved.append, lambda v: v):
        attention_product(csr, *values)
    assert {tuple(v.shape) for v in saved} == {tuple(v.shape) for v in values}
    assert switch.triton_for(*values) is None


@pytest.mark.parametrize("wrong", range(4))
def test_a_wrong_shape_is_refused_before_it_is_read(wrong):
    pytest.importorskip("triton")
    values = inputs()
    values[wrong] = values[wrong][:-1]
    with use_triton(), pytest.raises(ValueError, match="of shape"):
        attention_product(pattern(), *values)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("normalization", ["softmax", "squareplus"])
def test_on_a_gpu_the_fused_product_gives_what_the_cpu_gives(normalization):
    pytest.importorskip("triton")
    generator = torch.Generator().manual_seed(0)
    row, col = torch.randint(0, 2000, (2, 30_000), generator=generator)
    row[:5000] = 7
    here = CSR.from_coo(row, col, 2000, 2000)
    q, k = torch.randn(2, 2000, 4, 20, generator=generator)
    prior, x = torch.rand(30_000, generator=generator), torch.randn(2000, 80, generator=generator)
    expected = attention_product(here, q, k, prior, x, normalization)
    there = CSR.from_coo(row.cuda(), col.cuda(), 2000, 2000)
    with use_triton():
        y = attention_product(there, q.cuda(), k.cuda(), prior.cuda(), x.cuda(), normalization)
    torch.testing.assert_close(y.cpu(), expected, rtol=1e-4, atol=1e-4)


@pytest.fixture(params=["head by head", "all at once"])
def order(request, monkeypatch):
    """Run a test with one head after the other and with all heads at once."""
    if request.param == "head by head":
        monkeypatch.setattr(attention, "_EDGES_ONE_BY_ONE", 0)


def pairs(heads=2, size=3, dtype=torch.float64, seed=0):
    """A square pattern with a duplicate and an empty row, ends, and priors of which one is 0."""
    row = torch.tensor([0, 0, 0, 0, 2, 3, 3, 4, 4], device=DEVICE)
    col = torch.tensor([0, 1, 1, 4, 1, 0, 3, 2, 4], device=DEVICE)
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randn(5, 2 * heads, size, generator=generator, dtype=torch.float64)
    prior = torch.rand(9, generator=generator, dtype=torch.float64)
    prior[3] = 0
    return CSR.from_coo(row, col, 5, 5), ends.to(DEVICE, dtype), prior.to(DEVICE, dtype)


@pytest.mark.parametrize("normalization", ["softmax", "squareplus"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(("heads", "size"), [(1, 1), (3, 7), (2, 16)])
def test_weights_of_pairs_equal_those_entry_by_entry(heads, size, dtype, normalization, order):
    csr, ends, prior = pairs(heads, size, dtype)
    weights = paired_attention_weights(csr, ends, prior, normalization)
    assert (weights.shape, weights.dtype) == (prior.shape, dtype)
    identity = torch.eye(5, dtype=torch.float64, device=DEVICE)
    expected = dense(csr, *ends.chunk(2, dim=1), prior, identity, normalization)
    got = torch.zeros_like(expected)
    got.index_put_((csr.row, csr.col_long), weights.double(), accumulate=True)
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 1e-2}[dtype]
    torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("normalization", ["softmax", "squareplus"])
@pytest.mark.parametrize("with_prior", [False, True])
def test_weights_of_pairs_have_right_first_and_second_derivatives(with_prior, normalization, order):
    csr, ends, prior = pairs()
    inputs = (ends.requires_grad_(), prior[:3] + 0.1) if with_prior else (ends.requires_grad_(),)

    def run(ends, some=None):
        whole = prior if some is None else torch.cat([some, prior[3:]])
        return paired_attention_weights(csr, ends, whole, normalization)

    inputs = tuple(v.detach().requires_grad_() for v in inputs)
    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs)


@pytest.mark.parametrize("normalization", ["softmax", "squareplus"])
def test_scores_of_any_size_give_finite_weights_and_gradients(normalization, order):
    csr, ends, prior = pairs(dtype=torch.float32)
    ends = (1e4 * ends).requires_grad_()
    weights = paired_attention_weights(csr, ends, prior, normalization)
    weights.square().sum().backward()
    assert torch.isfinite(weights).all()
    assert torch.isfinite(ends.grad).all()


@pytest.mark.skipif(DEVICE.type != "cpu", reason="other devices compute all heads at once")
@pytest.mark.parametrize("normalization", ["softmax", "squareplus"])
def test_what_is_too_large_to_keep_per_edge_and_head_is_computed_again(normalization, monkeypatch):
    def gradient():
        csr, ends, prior = pairs(heads=8)
        before = ends.requires_grad_().clone()
        weights = paired_attention_weights(csr, ends, prior, normalization)
        kept = weights.grad_fn.kept
        (found,) = torch.autograd.grad(weights.square().sum(), ends)
        assert torch.equal(ends, before)
        return kept, found

    monkeypatch.setattr(attention, "_EDGES_ONE_BY_ONE", 0)
    kept, expected = gradient()
    monkeypatch.setattr(attention, "_KEPT_BYTES", 0)
    nothing, found = gradient()
    assert kept
    assert nothing is None
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def test_unit_rows_have_length_1_and_right_derivatives():
    x = torch.randn(4, 3, 5, dtype=torch.float64, device=DEVICE, requires_grad=True)
    expected = torch.nn.functional.normalize(x, dim=-1)
    torch.testing.assert_close(unit_rows(x), expected)
    assert torch.autograd.gradcheck(unit_rows, x)
    assert torch.autograd.gradgradcheck(unit_rows, x)
    assert torch.equal(unit_rows(torch.zeros(2, 3)), torch.zeros(2, 3))
