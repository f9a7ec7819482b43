"""GRAND++ as a PyG layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from grandpp.fields.base import LinearDiffusion, NonlinearDiffusion
from grandpp.fields.source import DEFAULT_GAIN, TrustedSource
from grandpp.layers.base import DiffusionConv
from grandpp.solvers import Solution


class GRANDPPConv(DiffusionConv):
    r"""Graph neural diffusion with a source term at trusted nodes, from `"GRAND++: Graph Neural
    Diffusion with A Source Term" <https://openreview.net/forum?id=EMxu-dzvJk>`_
    (thesis (4.11)-(4.12)).

    .. math:: z'(t) = \alpha \big( (A - I) z(t) + g\, s \big) + \beta x

    with the source s and the initial state z(0) of :class:`grandpp.fields.TrustedSource`, which
    says why the paper's source drifts and the balanced one does not. With g = 0 and
    ``initial="features"`` the layer equals :class:`GRANDConv`.

    Args:
        channels: Size F of the node features, unchanged by the layer.
        source: ``"balanced"`` or ``"paper"``. (default: ``"balanced"``)
        source_gain: The factor g; its size decides everything, see the README.
            (default: ``0.2``)
        learn_gain: Learn g, starting from ``source_gain``. (default: ``False``)
        initial: ``"features"``, ``"shifted"`` or ``"zero"``. (default: ``"features"``)
        **kwargs: All further arguments of :class:`GRANDConv`.

    Shapes:
        - **input:** node features ``[N, F]``, edge indices ``[2, E]``, edge weights ``[E]``
          *(optional)*, trusted nodes ``[I]`` or bool ``[N]``, or weights of trust ``[N]`` in
          [0, 1] *(optional)*
        - **output:** node features ``[N, F]``

    Raises:
        ValueError, IndexError, SolveError: As :class:`GRANDConv`, and for malformed trusted nodes.

    Note:
        The balanced source with learned attention costs one Krylov solve for the stationary
        measure per call. It conserves :math:`\sum_i \pi_i z_i` (the degree-weighted mean for the
        random walk) in linear mode with beta = 0.
    """

    def __init__(
        self,
        channels: int,
        *,
        source: str = "balanced",
        source_gain: float = DEFAULT_GAIN,
        learn_gain: bool = False,
        initial: str = "features",
        **kwargs: Any,
    ) -> None:
        super().__init__(channels, **kwargs)
        self.source = TrustedSource(source, source_gain, initial, learn_gain)

    def reset_parameters(self) -> None:
        """Initialise all parameters anew."""
        super().reset_parameters()
        if hasattr(self, "source"):  # the base class resets before the source exists
            self.source.reset_parameters()

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        source_index: Tensor | None = None,
    ) -> Tensor:
        """Return the features at time T; without trusted nodes there is no source."""
        y = self.solve(x, edge_index, edge_weight, source_index).y
        assert isinstance(y, Tensor)  # noqa: S101 (narrows the type)
        return y

    def solve(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        source_index: Tensor | None = None,
        *,
        save_at: Sequence[float] | Tensor | None = None,
        throw: bool = True,
    ) -> Solution:
        """Return the whole solution; arguments as in :meth:`forward` and :class:`GRANDConv`."""
        bound = self.bind(x, edge_index, edge_weight, source_index)
        return self._integrate(*bound, save_at, throw)

    def bind(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        source_index: Tensor | None = None,
    ) -> tuple[LinearDiffusion | NonlinearDiffusion, Tensor]:
        """Return what is solved: the bound field and z(0); arguments as in :meth:`forward`."""
        return self.source(self.prepare(x, edge_index, edge_weight), x, source_index)

    def _describe(self) -> list[str]:
        words = super()._describe()
        return [words[0], f"source=({self.source.extra_repr()})", *words[1:]]
