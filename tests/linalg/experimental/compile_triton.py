"""Compile every kernel for NVIDIA GPUs as its launch would, on a machine that needs none.

Run by test_triton_compile.py in a process of its own: Triton compiles or interprets, not both.
Prints one line for each program: kernel, compute capability, type of the features, bytes of code.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from grandpp.linalg import CSR
from grandpp.linalg.experimental import triton_kernels, triton_products

NAMES = {
    torch.float64: "*fp64",
    torch.float32: "*fp32",
    torch.float16: "*fp16",
    torch.bfloat16: "*bf16",
    torch.int64: "*i64",
    torch.int32: "*i32",
}
NEWEST = 90


class Recorder:
    """Stands in for a kernel and keeps what it is launched with."""

    def __init__(self, kernel: Any, launches: list[tuple[Any, ...]]) -> None:
        self.kernel, self.launches = kernel, launches

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return lambda *args, **kwargs: self.launches.append((self.kernel, args, kwargs))


def record(dtype: torch.dtype, index: torch.dtype, size: int, heads: int) -> list[tuple[Any, ...]]:
    """All launches of the three products."""
    launches: list[tuple[Any, ...]] = []
    for name, value in vars(triton_kernels).items():
        if isinstance(value, triton.JITFunction):
            setattr(triton_kernels, name, Recorder(value, launches))
    row = torch.zeros(300, dtype=torch.int64)
    csr = CSR.from_coo(row, row, 2, 2)
    csr = CSR(csr.rowptr.to(index), csr.col.to(index), 2, 2, csr.perm)
    weight, x = torch.rand(300, heads, dtype=dtype), torch.rand(2, heads, size, dtype=dtype)
    triton_products.multiply(csr, weight, x)
    triton_products.sampled_product(csr, x, x)
    # Squareplus differs little, and each program takes a second.
    for softmax in (True, False) if dtype == torch.float32 else (True,):
        triton_products.attention_product(csr, x, x, weight[:, 0], x[:, 0], softmax)
    for name, value in vars(triton_kernels).items():
        if isinstance(value, Recorder):
            setattr(triton_kernels, name, value.kernel)
    return launches


def compile_launch(kernel: Any, args: tuple[Any, ...], kwargs: dict[str, Any], target: Any) -> Any:
    """Compile a launch with the specialisation Triton applies: 1 is a constant, 16 divides."""
    options = {k: kwargs[k] for k in kwargs if k not in kernel.arg_names}
    values = dict(zip(kernel.arg_names, args, strict=False)) | kwargs
    signature, constants, attributes = {}, {}, {}
    for i, name in enumerate(kernel.arg_names):
        value = values[name]
        if isinstance(value, torch.Tensor):
            signature[name] = NAMES[value.dtype]
            attributes[(i,)] = [["tt.divisibility", 16]]
        elif name.isupper() or value == 1:
            signature[name], constants[(i,)] = "constexpr", value
        else:
            signature[name] = "i32"
            if value % 16 == 0:
                attributes[(i,)] = [["tt.divisibility", 16]]
    source = ASTSource(kernel, signature, constants, attributes)
    return triton.compile(source, target=GPUTarget("cuda", target, 32), options=options)


def main(capability: int) -> None:
    """Compile all of them; in every precision for the newest, which takes half a minute."""
    cases = [(torch.float32, torch.int32, 80, 4)]
    if capability == NEWEST:
        others = [t for t in NAMES if t.is_floating_point and t != torch.float32]
        cases += [(dtype, torch.int32, 80, 4) for dtype in others]
        cases += [(torch.float32, torch.int64, 81, 3), (torch.float32, torch.int32, 1, 1)]
    for dtype, index, size, heads in cases:
        for kernel, args, kwargs in record(dtype, index, size, heads):
            code = compile_launch(kernel, args, kwargs, capability).asm
            assert f".target sm_{capability}" in code["ptx"]
            words = (kernel.__name__, capability, dtype, index, size, heads, len(code["cubin"]))
            sys.stdout.write(" ".join(map(str, words)) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
