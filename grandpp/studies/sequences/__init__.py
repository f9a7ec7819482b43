"""Training ODE-RNNs by name: choices, runs and pictures."""
