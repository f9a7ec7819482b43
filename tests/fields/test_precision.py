"""Fields in bfloat16."""

from __future__ import annotations

import torch
from torch import nn

from grandpp.fields import LowPrecision, MLPField


def test_the_derivative_is_rounded_to_eight_bits_and_keeps_the_type_of_the_state():
    torch.manual_seed(0)
    field = MLPField(3, (16,))
    h, t = torch.randn(50, 3), torch.tensor(0.0)
    whole, rounded = field(t, h), LowPrecision(field)(t, h)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, rounded.bfloat16().float(), atol=0, rtol=0)
    error = float(((rounded - whole).norm() / whole.norm()).detach())
    assert 2**-11 < error < 2**-6


def test_inside_the_field_and_nowhere_else_products_are_in_bfloat16():
    seen = []

    class Spy(nn.Module):
        def forward(self, t, h):
            seen.append((h @ h.T).dtype)
            return h

    h = torch.randn(2, 2)
    LowPrecision(Spy())(torch.tensor(0.0), h)
    assert seen == [torch.bfloat16] and (h @ h.T).dtype == torch.float32
