"""grandpp: graph neural diffusion (GRAND, GRAND++, heavy ball) as PyTorch Geometric layers."""

__version__ = "0.1.0"
