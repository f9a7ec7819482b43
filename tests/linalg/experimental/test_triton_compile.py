"""Every Triton kernel compiles for NVIDIA GPUs, also on a machine without one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("capability", "names"),
    [("80", ["float32"]), ("90", ["float64", "float32", "float16", "bfloat16"])],
)
def test_kernels_compile_to_machine_code(capability, names, tmp_path):
    triton = pytest.importorskip("triton")
    assembler = Path(triton.__file__).parent / "backends/nvidia/bin/ptxas"
    try:
        subprocess.run([assembler, "--version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"Triton's assembler does not run here: {error}")
    # The interpreter is off in that process, and nothing comes from an older cache.
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, ROOT / "tests/linalg/experimental/compile_triton.py", capability]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    lines = [line.split() for line in run.stdout.splitlines()]
    kinds = Counter((kernel, dtype) for kernel, _, dtype, *_ in lines)
    types = {f"torch.{name}" for name in names}
    kernels = {
        "multiply_chunks",
        "add_partials",
        "sample_entries",
        "attend_chunks",
        "attend_partials",
    }
    assert set(kinds) == {(kernel, dtype) for kernel in kernels for dtype in types}
    assert all(int(size) > 0 for *_, size in lines)
