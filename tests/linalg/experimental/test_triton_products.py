"""Triton's kernels: in the interpreter where there is no GPU (tests/conftest.py), else on it."""

from __future__ import annotations

import pytest
import torch

from grandpp.linalg import CSR, sddmm, spmm, use_triton
from grandpp.linalg.row_chunks import LENGTH, RowChunks

triton_products = pytest.importorskip(
    "grandpp.linalg.experimental.triton_products", exc_type=ImportError
)
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(autouse=True)
def _on(monkeypatch):
    with use_triton():
        yield


@pytest.fixture
def launched(monkeypatch):
    """Names of the launchers that ran."""
    names = []
    for name in ("multiply", "sampled_product"):
        real = getattr(triton_products, name)
        monkeypatch.setattr(
            triton_products, name, lambda *v, n=name, f=real: names.append(n) or f(*v)
        )
    return names


def pattern(length=3):
    """A 9 x 6 pattern with a long row, short ones, empty ones and a duplicate, cut into pieces."""
    row = torch.tensor([0, 0, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 5, 8, 8, 8, 8, 8], device=DEVICE)
    col = torch.tensor([1, 3, 0, 0, 1, 2, 3, 4, 5, 0, 2, 4, 5, 5, 0, 1, 2, 2, 5], device=DEVICE)
    csr = CSR.from_coo(row, col, 9, 6)
    for matrix in (csr, csr.transpose):
        matrix.__dict__["chunks"] = RowChunks.of(matrix.rowptr, length)
    return csr


def rand(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=torch.float64).to(DEVICE, dtype)


def dense(csr, weight, x):
    """The product of every head in float64."""
    heads = weight.double().view(weight.size(0), -1)
    full = heads.new_zeros(csr.num_rows, csr.num_cols, heads.size(1))
    full.index_put_((csr.row, csr.col_long), heads, accumulate=True)
    y = torch.einsum("ijh,jhf->ihf", full, x.double().view(x.size(0), heads.size(1), -1))
    return y.view(csr.num_rows, *x.shape[1:])


@pytest.mark.parametrize("length", [1, 3, LENGTH])
@pytest.mark.parametrize("shape", [(1,), (7,), (80,), (81,), (130,), (1, 5), (3, 7), (8, 2)])
def test_both_products_equal_the_dense_ones(shape, length, launched):
    csr = pattern(length)
    x, a = rand(6, *shape), rand(9, *shape)
    weight = rand(19, *shape[:-1])
    torch.testing.assert_close(spmm(csr, weight, x), dense(csr, weight, x))
    torch.testing.assert_close(sddmm(csr, a, x), (a[csr.row] * x[csr.col_long]).sum(-1))
    assert launched == ["multiply", "sampled_product"]


@pytest.mark.parametrize(
    ("dtype", "relative"),
    [(torch.float64, 1e-14), (torch.float32, 1e-6), (torch.float16, 1e-3), (torch.bfloat16, 8e-3)],
)
def test_every_precision_rounds_the_result_and_not_the_sum(dtype, relative):
    # Positive numbers: a sum of 300 kept in half precision would be off by far more.
    csr = CSR.from_coo(*torch.zeros(2, 300, dtype=torch.int64, device=DEVICE), 1, 1)
    csr.__dict__["chunks"] = RowChunks.of(csr.rowptr, 70)
    weight = rand(300, 2, dtype=dtype).abs()
    x, a = rand(1, 2, 300, dtype=dtype).abs(), rand(1, 2, 300, dtype=dtype).abs()
    y, s = spmm(csr, weight, x[:, :, :2]), sddmm(csr, a, x)
    assert y.dtype == s.dtype == dtype
    close = {"rtol": relative, "atol": 0.0}
    torch.testing.assert_close(y.double(), dense(csr, weight, x[:, :, :2]), **close)
    wanted = (a.double() * x.double()).sum(-1).expand(300, 2)
    torch.testing.assert_close(s.double(), wanted, **close)


@pytest.mark.parametrize("heads", [None, 2])
def test_first_and_second_derivatives_are_right(heads, launched):
    row = torch.tensor([0, 0, 0, 2, 2], device=DEVICE)
    csr = CSR.from_coo(row, torch.tensor([1, 0, 0, 1, 0], device=DEVICE), 3, 2)
    csr.__dict__["chunks"] = RowChunks.of(csr.rowptr, 2)
    shape = (1,) if heads is None else (heads, 1)
    weight = rand(5, *shape[:-1]).requires_grad_()
    x, a = rand(2, *shape).requires_grad_(), rand(3, *shape).requires_grad_()
    for function, inputs in ((spmm, (weight, x)), (sddmm, (a, x))):
        assert torch.autograd.gradcheck(lambda *v, f=function: f(csr, *v), inputs, fast_mode=True)
        if heads is not None:  # the interpreter takes seconds
            check = torch.autograd.gradgradcheck
            assert check(lambda *v, f=function: f(csr, *v), inputs, fast_mode=True)
    assert {*launched} == {"multiply", "sampled_product"}


def test_a_star_and_64_bit_indices_and_operands_that_are_not_contiguous():
    centre = torch.zeros(2 * LENGTH + 5, dtype=torch.int64, device=DEVICE)
    csr = CSR.from_coo(centre, torch.arange(centre.numel(), device=DEVICE), 2, centre.numel())
    csr = CSR(csr.rowptr.long(), csr.col.long(), csr.num_rows, csr.num_cols, csr.perm)
    weight, x = rand(2, csr.num_cols)[0], rand(3, csr.num_cols).t()
    a = rand(1, 3).expand(2, 3)
    torch.testing.assert_close(spmm(csr, weight, x), dense(csr, weight, x.contiguous()))
    torch.testing.assert_close(sddmm(csr, a, x), x @ a[0])


def test_nothing_to_multiply():
    none = torch.empty(0, dtype=torch.int64, device=DEVICE)
    csr = CSR.from_coo(none, none, 4, 3)
    assert torch.equal(spmm(csr, rand(0), rand(3, 2)), torch.zeros_like(rand(4, 2)))
    assert sddmm(csr, rand(4, 2), rand(3, 2)).shape == (0,)
    assert spmm(csr, rand(0, 2), rand(3, 2, 0)).shape == (4, 2, 0)
    nobody = CSR.from_coo(none, none, 0, 0)
    assert spmm(nobody, rand(0), rand(0, 5)).shape == (0, 5)


@pytest.mark.parametrize(
    "call",
    [
        lambda csr: spmm(csr, rand(18), rand(6, 2)),
        lambda csr: spmm(csr, rand(19), rand(5, 2)),
        lambda csr: spmm(csr, rand(19, 2), rand(6, 3, 2)),
        lambda csr: sddmm(csr, rand(8, 2), rand(6, 2)),
        lambda csr: sddmm(csr, rand(9, 2), rand(6, 3)),
        lambda csr: sddmm(csr, rand(9, 2, 2), rand(6, 2)),
    ],
)
def test_a_wrong_shape_is_refused_before_it_is_read(call):
    with pytest.raises(ValueError, match="of shape"):
        call(pattern())


def test_switched_off_and_with_mixed_types_the_kernels_stay_out(launched):
    csr, weight, x = pattern(), rand(19), rand(6, 2)
    with use_triton(False):
        spmm(csr, weight, x)
    assert launched == []
    with pytest.raises(RuntimeError):
        spmm(csr, weight.float(), x)
    assert launched == []


def test_repeated_products_agree_to_the_last_bit():
    csr, weight, x = pattern(), rand(19, dtype=torch.float32), rand(6, 80, dtype=torch.float32)
    assert torch.equal(spmm(csr, weight, x), spmm(csr, weight, x))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape", [(80,), (4, 21)])
def test_on_a_gpu_the_kernels_give_what_the_cpu_gives(shape, dtype, launched):
    generator = torch.Generator().manual_seed(0)
    row = torch.randint(0, 3000, (40_000,), generator=generator)
    row[:5000] = 7
    col = torch.randint(0, 2000, (40_000,), generator=generator)
    here = CSR.from_coo(row, col, 3000, 2000)
    there = CSR.from_coo(row.cuda(), col.cuda(), 3000, 2000)
    weight = torch.rand(40_000, *shape[:-1], generator=generator).to(dtype)
    x, a = (torch.rand(n, *shape, generator=generator).to(dtype) for n in (2000, 3000))
    for function, inputs in ((spmm, (weight, x)), (sddmm, (a, x))):
        expected = function(here, *inputs)
        result = function(there, *(v.cuda() for v in inputs))
        torch.testing.assert_close(result.cpu(), expected, rtol=1e-4, atol=1e-4)
    assert launched == ["multiply", "sampled_product"]
