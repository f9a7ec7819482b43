"""Solvers for linear diffusion: matrix exponentials, linear systems, the steady limit."""
