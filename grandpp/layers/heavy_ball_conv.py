"""Heavy-ball graph diffusion as a PyG layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from grandpp.fields import DEFAULT_GAIN, TrustedSource
from grandpp.fields.adam import Adam
from grandpp.fields.dynamics import Dynamics
from grandpp.fields.entry import solver_entry
from grandpp.fields.momentum import GeneralizedHeavyBall, HeavyBall
from grandpp.fields.oscillation import Wave, linearize_momentum
from grandpp.layers.base import DiffusionConv
from grandpp.solvers import Solution, Solver, Steady

MOMENTUM_KINDS: tuple[str, ...] = ("hbnode", "ghbnode", "sonode", "adamnode", "wave")
MOMENTA: tuple[str, ...] = ("zero", "learned")


class HeavyBallConv(DiffusionConv):
    r"""Graph diffusion with momentum: second-order equations whose solutions can oscillate.

    Source: the heavy-ball ODE of `"Heavy Ball Neural Ordinary Differential Equations"
    <https://arxiv.org/abs/2110.04840>`_ (9) around GRAND's field, thesis chapters 3, 4 and 6.

    .. math:: h'' + \gamma h' = \alpha (A - I) h + s, \qquad h(0) = x, \quad
        \gamma = \epsilon \sigma(\omega), \quad \text{output } h(T)

    Args:
        channels: Size F of the node features, unchanged by the layer.
        kind: Equation of motion, by the names of :class:`NeuralODE`: ``"hbnode"``, the formula
            above; ``"ghbnode"``, with bounded velocity and a spring
            (:class:`grandpp.fields.GeneralizedHeavyBall`); ``"sonode"``, the second-order equation
            without damping, gamma = 0 (diffusion depends on h alone, not on the velocity);
            ``"adamnode"`` (:class:`grandpp.fields.Adam`); or ``"wave"``, the heavy ball in the
            variable of thesis chapter 6 (:class:`grandpp.fields.Wave`).
            (default: ``"hbnode"``)
        gamma: Fixed damping >= 0, for kinds that have a damping. (default: ``None``, learned)
        max_gamma: Upper bound epsilon of the learned damping, which is initialised at half of it.
            (default: ``4.0``; 2 sqrt(alpha mu) is critical for the eigenvalue mu of I - A)
        xi: Fixed spring constant of ``"ghbnode"``. (default: ``None``, learned)
        activation: Function from momentum to velocity in ``"ghbnode"``: ``"tanh"``, ``"hardtanh"``
            or ``"identity"``, which makes the equation linear. (default: ``"tanh"``)
        momentum: Initial momentum: ``"zero"``, or ``"learned"``, a linear map of x.
            (default: ``"zero"``)
        source: Source term of :class:`GRANDPPConv`, ``"balanced"`` or ``"paper"``, or ``None``.
            The balanced source is computed for diffusion without momentum over the same time span:
            the degree-weighted mean moves as without a source, exactly for the random walk on an
            undirected graph and approximately otherwise. (default: ``None``)
        source_gain: Factor of the source. (default: ``0.2``)
        time: Integration time T, finite. (default: ``1.0``)
        mode: ``"linear"`` or ``"nonlinear"``. (default: ``"linear"``)
        attention: ``"scaled_dot"``, ``"gat"``, ``"cosine"``, ``"pearson"``, ``"exp_kernel"``, or
            ``None`` for the random walk. (default: ``"scaled_dot"``)
        heads: Number of attention heads. (default: ``4``)
        attention_channels: Size of all heads together.
            (default: ``None``, ``channels`` rounded up to a multiple of ``heads``)
        normalization: ``"softmax"`` or ``"squareplus"``. (default: ``"softmax"``)
        self_loop_weight: Weight of a node's self-loop before normalisation. (default: ``1.0``)
        learn_alpha: Learn alpha = sigmoid of a parameter, 0.5 at the start; otherwise alpha = 1.
            (default: ``True``)
        learn_beta: Learn beta, 0 at the start; otherwise no such term. (default: ``False``)
        solver: Name or solver object. (default: ``"auto"``, see :class:`GRANDConv`)
        rtol, atol: Tolerances of solvers that take them. (default: ``None``, the solver's own)
        step_size: Step of fixed-step solvers. (default: ``None``, the solver's own)
        max_nfe: Evaluation budget of one forward solve. (default: ``None``, the solver's own)
        gradient: How gradients are computed, see :class:`GRANDConv`.
            (default: ``None``, the solver's own)

    Shapes:
        - **input:** node features ``[N, F]``, edge indices ``[2, E]``, edge weights ``[E]``
          *(optional)*, trusted nodes ``[I]`` or bool ``[N]`` *(optional, with a source)*, graph
          of each node ``[N]`` *(optional, for the mean of* ``source="paper"`` *)*
        - **output:** node features ``[N, F]``

    Raises:
        ValueError, TypeError, IndexError, SolveError: As :class:`GRANDConv`.

    Note:
        In linear mode every kind but ``"adamnode"`` and a saturating ``"ghbnode"`` is a linear
        system of twice the size, which ``solver="auto"`` and ``"exact"`` solve exactly, with about
        T sqrt(2 alpha) + 10 products (more for attention) for each of h and m. Without damping
        and source the linear kinds conserve :math:`\tfrac12 |m|_D^2 + \tfrac\alpha2 \langle h,
        (I - A) h\rangle_D` for the random walk on an undirected graph.

    Example:
        >>> edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> conv = HeavyBallConv(4, kind="wave", gamma=0.5, time=2.0)
        >>> solution = conv.solve(torch.eye(3, 4), edge_index, save_at=[1.0, 2.0])
        >>> solution.ys.shape, solution.stats.methods  # position and momentum at two times
        (torch.Size([2, 2, 3, 4]), [(0.0, 'exact')])
    """

    source_time: float | None = None
    """Time span over which the source is balanced; ``None``: the layer's."""

    def __init__(
        self,
        channels: int,
        *,
        kind: str = "hbnode",
        gamma: float | None = None,
        max_gamma: float = 4.0,
        xi: float | None = None,
        activation: str = "tanh",
        momentum: str = "zero",
        source: str | None = None,
        source_gain: float = DEFAULT_GAIN,
        time: float = 1.0,
        mode: str = "linear",
        attention: str | None = "scaled_dot",
        heads: int = 4,
        attention_channels: int | None = None,
        normalization: str = "softmax",
        self_loop_weight: float = 1.0,
        learn_alpha: bool = True,
        learn_beta: bool = False,
        solver: str | Solver = "auto",
        rtol: float | None = None,
        atol: float | None = None,
        step_size: float | None = None,
        max_nfe: int | None = None,
        gradient: str | None = None,
    ) -> None:
        super().__init__(
            channels,
            time=time,
            mode=mode,
            attention=attention,
            heads=heads,
            attention_channels=attention_channels,
            normalization=normalization,
            self_loop_weight=self_loop_weight,
            learn_alpha=learn_alpha,
            learn_beta=learn_beta,
            solver=solver,
            rtol=rtol,
            atol=atol,
            step_size=step_size,
            max_nfe=max_nfe,
            gradient=gradient,
        )
        if isinstance(self.solver, Steady):
            raise ValueError(f"expected a finite 'time' of a heavy ball (got {self.time})")
        if momentum not in MOMENTA:
            raise ValueError(
                f"expected 'momentum' to be one of {', '.join(MOMENTA)} (got '{momentum}')"
            )
        self.kind = kind
        self.dynamics = _dynamics(kind, gamma, max_gamma, xi, activation)
        self._center_damping()
        self.source = None if source is None else TrustedSource(source, source_gain)
        self.momentum = nn.Linear(channels, channels) if momentum == "learned" else None

    def reset_parameters(self) -> None:
        """Initialise all parameters anew."""
        super().reset_parameters()
        self.dynamics.reset_parameters()
        self._center_damping()
        if self.source is not None:
            self.source.reset_parameters()
        if self.momentum is not None:
            self.momentum.reset_parameters()

    def _center_damping(self) -> None:
        # With the papers' initial damping, sigmoid(-3), a graph oscillates for long, and its final
        # features are sensitive to the last digits of T.
        if isinstance(self.dynamics, HeavyBall) and self.dynamics.omega is not None:
            nn.init.zeros_(self.dynamics.omega)

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        source_index: Tensor | None = None,
        batch: Tensor | None = None,
    ) -> Tensor:
        """Return the positions at time T."""
        return self.position(self.solve(x, edge_index, edge_weight, source_index, batch).y)

    @solver_entry
    def solve(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        source_index: Tensor | None = None,
        batch: Tensor | None = None,
        *,
        save_at: Sequence[float] | Tensor | None = None,
        throw: bool = True,
    ) -> Solution[Tensor]:
        """Return the whole solution, with states ``[S, parts, N, F]``.

        Parts are position and momentum (and the second moment of ``"adamnode"``).

        Args:
            x, edge_index, edge_weight, source_index, batch: As in :meth:`forward`.
            save_at: Times in [0, T] to save. (default: ``None``, only T)
            throw: Raise on failure instead of returning its status. (default: ``True``)
        """
        self._check_time()
        field = self.prepare(x, edge_index, edge_weight)
        if self.source is not None:
            time = self.time if self.source_time is None else self.source_time
            with torch.autocast(x.device.type, enabled=False):
                field, _ = self.source(field, x, source_index, time=time, batch=batch)
        elif source_index is not None:
            raise ValueError("expected no 'source_index' for source=None (got one)")
        momentum = None if self.momentum is None else self.momentum(x)
        y0 = self.dynamics.start(x, momentum)
        motion = linearize_momentum(self.dynamics, field)
        solution = self._integrate(motion, y0, save_at, throw, product=field.product)
        if isinstance(self.dynamics, Wave):
            return solution.with_states(self.dynamics.to_ball(solution.ys, solution.ts))
        return solution

    def position(self, state: Tensor) -> Tensor:
        """The position in a state."""
        return self.dynamics.position(state)

    def _describe(self) -> list[str]:
        words = super()._describe()
        own = [f"kind={self.kind}", f"({self.dynamics.extra_repr()})"]
        if self.source is not None:
            own.append(f"source=({self.source.extra_repr()})")
        own.append(f"momentum={'zero' if self.momentum is None else 'learned'}")
        return [words[0], *own, *words[1:]]


def _dynamics(
    kind: str, gamma: float | None, max_gamma: float, xi: float | None, activation: str
) -> Dynamics:
    makers: dict[str, Callable[[], Dynamics]] = {
        "hbnode": lambda: HeavyBall(gamma=gamma, max_gamma=max_gamma),
        "ghbnode": lambda: GeneralizedHeavyBall(
            activation=activation, gamma=gamma, xi=xi, max_gamma=max_gamma
        ),
        "sonode": lambda: HeavyBall(gamma=0.0),
        "adamnode": Adam,
        "wave": lambda: Wave(gamma=gamma, max_gamma=max_gamma),
    }
    if kind not in makers:
        raise ValueError(f"expected 'kind' to be one of {', '.join(MOMENTUM_KINDS)} (got '{kind}')")
    if gamma is not None and kind in ("sonode", "adamnode"):
        raise ValueError(f"expected no 'gamma' for kind='{kind}', which has none (got {gamma})")
    if (xi is not None or activation != "tanh") and kind != "ghbnode":
        raise ValueError(f"expected 'xi' and 'activation' for kind='ghbnode' (got '{kind}')")
    return makers[kind]()
