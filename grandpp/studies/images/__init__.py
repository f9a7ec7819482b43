"""Training image classifiers by name: choices, runs, tables and pictures."""
