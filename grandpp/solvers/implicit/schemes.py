r"""Formulas of the fixed-step proximal methods (thesis chapter 5).

Multi-step methods give h_{k+1} from earlier states; multi-stage ones, and the first states of the
multi-step ones, from diagonally implicit stages. All of them are equations z = b + beta s f(z).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Scheme:
    """A formula h_{k+1} = sum_j history[j] h_{k-j} + beta s f(h_{k+1}).

    Args:
        order: Nominal order.
        history: Weights of h_k, h_{k-1}, ...; none for a method that has stages alone.
        beta: Weight of s f.
        stages: Rows of a diagonally implicit method, whose last row is its result and whose row
            sums are its times: the method itself, or the one that makes the first states.
    """

    order: int
    history: tuple[float, ...] = ()
    beta: float = 0.0
    stages: Rows = ()


def multistage(order: int, gammas: Rows) -> Scheme:
    r"""The scheme of thesis Algorithm 2 from its coefficients.

    .. math:: z_m = \arg\min_z \sum_{i<m} \tfrac{\gamma_{m,i}}{2s} |z - z_i|^2 + F(z)

    has the stationary point :math:`z_m = \sum_i (\gamma_{m,i}/S_m) z_i + (s/S_m) f(z_m)` with
    :math:`S_m = \sum_i \gamma_{m,i}`: a diagonally implicit Runge-Kutta method.
    """
    rows: list[tuple[float, ...]] = []
    for gamma in gammas:
        total = sum(gamma)
        row = [0.0] * len(gamma)
        for weight, earlier in zip(gamma[1:], rows, strict=True):
            for j, a in enumerate(earlier):
                row[j] += weight / total * a
        row[-1] += 1 / total
        rows.append(tuple(row))
    return Scheme(order, stages=tuple(rows))


_G2 = 1 - math.sqrt(0.5)
_G3 = 0.43586652150845967
# L-stable, of orders 2 and 3 (Alexander 1977) and 4 (Hairer and Wanner II, table IV.6.5).
_SDIRK2 = ((_G2,), (1 - _G2, _G2))
_SDIRK3 = (
    (_G3,),
    ((1 - _G3) / 2, _G3),
    (-(6 * _G3**2 - 16 * _G3 + 1) / 4, (6 * _G3**2 - 20 * _G3 + 5) / 4, _G3),
)
_SDIRK4 = (
    (1 / 4,),
    (1 / 2, 1 / 4),
    (17 / 50, -1 / 25, 1 / 4),
    (371 / 1360, -137 / 2720, 15 / 544, 1 / 4),
    (25 / 24, -49 / 48, 125 / 16, -85 / 12, 1 / 4),
)

# Thesis section 5.5. The 6 x 6 matrix is printed with two decimals and as printed is of order 0:
# its steps are 0.9981 s long. These are the coefficients nearest to the print (0.0032 away at
# most, less than it rounds) that meet the four conditions of third order.
GAMMAS2: Rows = ((5.0,), (-2.0, 6.0), (-2.0, 3 / 14, 44 / 7))
GAMMAS3: Rows = (
    (11.168591318488309,),
    (-7.500472364595224, 19.429238445800262),
    (-1.0495693031455726, -4.750976884506533, 13.977985930978031),
    (1.7996330647022056, 0.04854934198156963, -7.832683946644925, 13.796888034413731),
    (
        6.199446306921577,
        -7.170914983184733,
        -1.3313802379085073,
        1.628258149430164,
        11.518914816922422,
    ),
    (
        -2.8320285787828094,
        4.687898711829306,
        2.457784084592188,
        -11.552301183445286,
        6.678088102174883,
        11.948719617579178,
    ),
)

SCHEMES: dict[str, Scheme] = {
    "prox_be": Scheme(1, (1.0,), 1.0),
    # b = h_k + s/2 f(h_k), and f(h_k) is read off the previous equation.
    "prox_cn": Scheme(2, (1.0,), 0.5),
    "prox_bdf2": Scheme(2, (4 / 3, -1 / 3), 2 / 3, _SDIRK2),
    "prox_bdf3": Scheme(3, (18 / 11, -9 / 11, 2 / 11), 6 / 11, _SDIRK3),
    "prox_bdf4": Scheme(4, (48 / 25, -36 / 25, 16 / 25, -3 / 25), 12 / 25, _SDIRK4),
    "prox_ms2": multistage(2, GAMMAS2),
    "prox_ms3": multistage(3, GAMMAS3),
}
PROXIMAL_METHODS: tuple[str, ...] = tuple(SCHEMES)
