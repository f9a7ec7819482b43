"""Proximal and multi-step implicit methods, and the inner solvers of their steps."""
