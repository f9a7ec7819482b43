"""Gradients of a solve: direct, checkpoint, adjoint; and the count of evaluations."""
