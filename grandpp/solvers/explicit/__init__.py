"""Explicit Runge-Kutta methods, step size control, and the methods of torchdiffeq."""
