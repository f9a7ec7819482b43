"""Triton kernels for the GPU; they have been run in Triton's interpreter only."""
