"""What a PyG user imports."""

from grandpp.layers.grand_conv import GRANDConv
from grandpp.layers.grandpp_conv import GRANDPPConv

__all__ = ["GRANDConv", "GRANDPPConv"]
