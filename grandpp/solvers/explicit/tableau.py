r"""Coefficients of explicit Runge-Kutta pairs.

One step of length h takes the slopes

.. math:: k_i = f\Big(t + c_i h,\; y + h \sum_{j<i} a_{ij} k_j\Big), \qquad i = 1, \dots, s,

and where the last row of a is also the row of the result ("first same as last"), its state is the
new one and its slope the first of the next step.
"""

from __future__ import annotations

from dataclasses import dataclass

from grandpp.solvers.interpolation import Time

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Tableau:
    r"""An embedded pair with a continuous extension; first same as last.

    Args:
        order: Order p of the result.
        nodes: Times :math:`c_2, \dots, c_s`.
        stages: Rows 2 to s of a, the last of which gives the result.
        errors: Result less the one of the lower order :math:`p - 1`, as weights of the slopes.
        dense: Per slope, the coefficients of :math:`\theta, \theta^2, \dots` in its weight
            :math:`b_i(\theta)`: :math:`y(t + \theta h) \approx y + h \sum_i b_i(\theta) k_i`.
    """

    order: int
    nodes: tuple[float, ...]
    stages: Rows
    errors: tuple[float, ...]
    dense: Rows

    def weights(self, theta: Time) -> list[Time]:
        r"""The weights :math:`b_i(\theta)` of all slopes, differentiable in ``theta``."""
        found = []
        for row in self.dense:
            value = theta * 0
            for coefficient in reversed(row):
                value = (value + coefficient) * theta
            found.append(value)
        return found


def _quartic(scale: float, p: float, q: float, root: float | None = None) -> tuple[float, ...]:
    r"""Coefficients of :math:`s\,\theta^2(\theta^2 + p\theta + q)`.

    With a root r, those of :math:`s\,\theta(\theta - r)(\theta^2 + p\theta + q)`.
    """
    r = 0.0 if root is None else root
    return (-scale * r * q, scale * (q - r * p), scale * (p - r), scale)


def _roots(scale: float, r1: float, r2: float) -> tuple[float, ...]:
    return _quartic(scale, -(r1 + r2), r1 * r2)


# Tsitouras (2011), Runge-Kutta pairs of order 5(4) satisfying only the first column simplifying
# assumption, table 1 and equations (5)-(11): fifth order with a smaller error than Dormand and
# Prince's pair of the same seven stages, and a fourth-order interpolant without a stage of its own.
TSIT5 = Tableau(
    order=5,
    nodes=(0.161, 0.327, 0.9, 0.9800255409045097, 1.0, 1.0),
    stages=(
        (0.161,),
        (-0.008480655492356989, 0.335480655492357),
        (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
        (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
        (
            5.86145544294642,
            -12.92096931784711,
            8.159367898576159,
            -0.071584973281401,
            -0.028269050394068383,
        ),
        (
            0.09646076681806523,
            0.01,
            0.4798896504144996,
            1.379008574103742,
            -3.290069515436081,
            2.324710524099774,
        ),
    ),
    errors=(
        -0.001780011052225777,
        -0.0008164344596567469,
        0.007880878010261995,
        -0.1447110071732629,
        0.5823571654525552,
        -0.45808210592918697,
        1 / 66,
    ),
    dense=(
        _quartic(
            -1.0530884977290216, -1.4364028541716351, 0.7139816917074209, root=1.3299890189751412
        ),
        _quartic(0.1017, -2.1966568338249754, 1.2949852507374631),
        _quartic(2.490627285651252793, -2.38535645472061657, 1.57803468208092486),
        _roots(-16.54810288924490272, 1.21712927295533244, 0.61620406037800089),
        _roots(47.37952196281928122, 1.203071208372362603, 0.658047292653547382),
        _roots(-34.87065786149660974, 1.2, 2 / 3),
        _roots(2.5, 1.0, 0.6),
    ),
)

# Dormand and Prince (1980), with the interpolant of Shampine (1986), Some practical Runge-Kutta
# formulas, table 1: the pair of torchdiffeq's dopri5 and of SciPy's RK45.
DORMAND_PRINCE = Tableau(
    order=5,
    nodes=(1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    stages=(
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
    errors=(
        71 / 57600,
        0.0,
        -71 / 16695,
        71 / 1920,
        -17253 / 339200,
        22 / 525,
        -1 / 40,
    ),
    dense=(
        (
            1.0,
            -8048581381 / 2820520608,
            8663915743 / 2820520608,
            -12715105075 / 11282082432,
        ),
        (0.0, 0.0, 0.0, 0.0),
        (
            0.0,
            131558114200 / 32700410799,
            -68118460800 / 10900136933,
            87487479700 / 32700410799,
        ),
        (0.0, -1754552775 / 470086768, 14199869525 / 1410260304, -10690763975 / 1880347072),
        (
            0.0,
            127303824393 / 49829197408,
            -318862633887 / 49829197408,
            701980252875 / 199316789632,
        ),
        (0.0, -282668133 / 205662961, 2019193451 / 616988883, -1453857185 / 822651844),
        (0.0, 40617522 / 29380423, -110615467 / 29380423, 69997945 / 29380423),
    ),
)
