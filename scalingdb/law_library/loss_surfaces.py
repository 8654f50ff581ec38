"""Chapter 2. Loss as a surface over parameters N and tokens D.

Exponents are positive throughout; authors whose code stores the negative are converted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scalingdb.law_library._core import FloatArray, exponent, law, positive, real


@law(
    "chinchilla",
    cite="Hoffmann et al., arXiv:2203.15556, eq. 10",
    inputs=("n_params", "n_tokens"),
    params={
        "E": positive("irreducible loss of the fit"),
        "A": positive("scale of the term in N"),
        "B": positive("scale of the term in D"),
        "alpha": exponent("exponent of N"),
        "beta": exponent("exponent of D"),
    },
)
def chinchilla(n_params: Any, n_tokens: Any, *, E: Any, A: Any, B: Any, alpha: Any, beta: Any) -> Any:
    """Parametric loss of Hoffmann et al. (approach 3), ``E + A/N**alpha + B/D**beta``.

    N counts all parameters. The printed exponents (0.34, 0.28) are rounded so far that they move
    the optimal tokens per parameter by half; the replication's set is the default here. The
    authors minimise a Huber loss (delta 1e-3) of log residuals; averaged instead of summed it falls
    under default optimiser tolerances and the search stops early.
    """
    return E + A * n_params**-alpha + B * n_tokens**-beta


def _kaplan_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given both exponents, ``L**(1/alpha_D)`` is linear in ``N**(-alpha_N/alpha_D)`` and ``1/D``."""
    n, d = inputs
    log_n, log_d = np.log(n), np.log(d)
    starts = []
    for alpha_d in np.linspace(0.04, 0.6, 15):
        for ratio in np.linspace(0.2, 2.5, 16):
            basis = np.stack([-ratio * (log_n - log_n.mean()), -(log_d - log_d.mean())])
            target = np.log(y) / alpha_d
            shift = target.max()
            columns = np.exp(basis) / np.exp(target - shift)  # relative residuals of the transformed loss
            gram = (columns * weights) @ columns.T
            right = (columns * weights).sum(axis=1)
            try:
                coefficients = np.linalg.solve(gram, right)
            except np.linalg.LinAlgError:
                continue
            floor = 1e-3 * np.abs(coefficients).max()
            log_c = np.log(np.maximum(coefficients, floor)) + shift
            ln_nc = log_c[0] / ratio + log_n.mean()
            ln_dc = log_c[1] + log_d.mean()
            if max(ln_nc, ln_dc) < 600:
                starts.append([np.exp(ln_nc), np.exp(ln_dc), alpha_d * ratio, alpha_d])
    return np.array(starts).reshape(-1, 4)


@law(
    "kaplan_lnd",
    cite="Kaplan et al., arXiv:2001.08361, eq. 1.5",
    inputs=("n_params_non_embedding", "n_tokens"),
    params={
        "N_c": positive("scale of N", start=(1e10, 1e18)),
        "D_c": positive("scale of D", start=(1e10, 1e18)),
        "alpha_N": exponent("exponent of N with data unlimited"),
        "alpha_D": exponent("exponent of D with parameters unlimited", low=1e-4),
    },
    starts=_kaplan_starts,
)
def kaplan_lnd(n_params_non_embedding: Any, n_tokens: Any, *, N_c: Any, D_c: Any, alpha_N: Any, alpha_D: Any) -> Any:
    """Joint law of Kaplan et al., ``((N_c/N)**(alpha_N/alpha_D) + D_c/D)**alpha_D``.

    N leaves embeddings out. There is no floor by design, so the law must fail far out; the two
    terms meet inside the outer power and are not additive. The joint fit's constants differ from
    those of the single-variable laws in the same paper.
    """
    return ((N_c / n_params_non_embedding) ** (alpha_N / alpha_D) + D_c / n_tokens) ** alpha_D


@law(
    "gadre_overtrain",
    cite="Gadre et al., arXiv:2403.08540, eq. 4",
    inputs=("n_params", "n_tokens"),
    params={
        "E": positive("irreducible loss of the fit"),
        "a": positive("scale of the term in N, at one FLOP"),
        "b": positive("scale of the term in D, at one FLOP"),
        "eta": exponent("common exponent in compute", high=5.0, start=(0.01, 0.6)),
    },
)
def gadre_overtrain(n_params: Any, n_tokens: Any, *, E: Any, a: Any, b: Any, eta: Any) -> Any:
    """Over-training law, ``E + (a*M**eta + b*M**-eta) * C**-eta`` with ``M = D/N``, ``C = 6*N*D``.

    It is Chinchilla's law with equal exponents ``alpha = beta = 2*eta``: iso-M curves are parallel
    lines in reducible loss against compute. Its authors fit it to five small runs; with only two
    values of M the trade-off between a and b is weakly identified, so use it to extrapolate at a
    given M, not to choose M.
    """
    multiplier = n_tokens / n_params
    compute = 6 * n_params * n_tokens
    return E + (a * multiplier**eta + b * multiplier**-eta) * compute**-eta


def _farseer_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Fit a floor and a power of D at each model size, then each of the three against N.

    This is the structure of the law itself: at fixed N it is ``E_N + B_N * D**-A_N``, and the
    logarithms of ``E_N``, ``B_N``, ``A_N`` are straight lines in a power of N.
    """
    n, d = inputs
    sizes, floors, scales, powers = [], [], [], []
    grid = np.geomspace(0.02, 1.5, 80)
    for size in np.unique(n):
        rows = (n == size) & (weights > 0)
        if np.unique(d[rows]).size < 4:
            continue
        log_d, loss = np.log(d[rows]), y[rows]
        centre = log_d.mean()
        basis = np.exp(-grid[:, None] * (log_d - centre)) / loss
        ones = np.broadcast_to(1 / loss, basis.shape)
        g11, g12, g22 = (ones**2).sum(1), (ones * basis).sum(1), (basis**2).sum(1)
        r1, r2 = ones.sum(1), basis.sum(1)
        determinant = g11 * g22 - g12**2
        floor, scale = (g22 * r1 - g12 * r2) / determinant, (g11 * r2 - g12 * r1) / determinant
        misfit = ((floor[:, None] * ones + scale[:, None] * basis - 1) ** 2).sum(1)
        misfit[(floor <= 0) | (scale <= 0)] = np.inf
        best = int(np.argmin(misfit))
        if np.isfinite(misfit[best]):
            sizes.append(size)
            powers.append(grid[best])
            floors.append(floor[best])
            scales.append(np.log(scale[best]) + grid[best] * centre)
    if len(sizes) < 3:
        return np.empty((0, 9))
    log_n = np.log(np.array(sizes))
    exponents = np.concatenate([np.linspace(-0.5, -0.02, 13), np.linspace(0.02, 0.5, 13)])

    def lines(target: FloatArray, keep: int) -> list[tuple[float, float, float]]:
        """Best (slope, exponent, intercept) of ``target = slope * N**exponent + intercept``."""
        found = []
        for power_of_n in exponents:
            design = np.stack([np.exp(power_of_n * log_n), np.ones_like(log_n)], axis=1)
            (slope, intercept), *_ = np.linalg.lstsq(design, target, rcond=None)
            # absolute deviations: a size whose floor ran away must not steer the line
            found.append((float(np.abs(design @ [slope, intercept] - target).sum()), slope, power_of_n, intercept))
        return [(slope, power_of_n, intercept) for _, slope, power_of_n, intercept in sorted(found)[:keep]]

    return np.array(
        [
            [a3, gamma, b3, a2, beta, b2, a1, alpha, b1]
            for a3, gamma, b3 in lines(np.log(np.array(floors)), 4)
            for a2, beta, b2 in lines(np.array(scales), 4)
            for a1, alpha, b1 in lines(np.log(np.array(powers)), 4)
        ]
    )


_size_exponent = real("power of N", low=-2.0, high=2.0, start=(-0.3, 0.3))


@law(
    "farseer",
    cite="Li et al., arXiv:2506.10972, eq. 15",
    inputs=("n_params_non_embedding", "n_tokens"),
    params={
        "a3": real("slope of the log floor"),
        "gamma": _size_exponent("power of N in the floor"),
        "b3": real("intercept of the log floor"),
        "a2": real("slope of the log data coefficient"),
        "beta": _size_exponent("power of N in the data coefficient"),
        "b2": real("intercept of the log data coefficient"),
        "a1": real("slope of the log data exponent"),
        "alpha": _size_exponent("power of N in the data exponent"),
        "b1": real("intercept of the log data exponent"),
    },
    starts=_farseer_starts,
)
def farseer(
    n_params_non_embedding: Any,
    n_tokens: Any,
    *,
    a3: Any,
    gamma: Any,
    b3: Any,
    a2: Any,
    beta: Any,
    b2: Any,
    a1: Any,
    alpha: Any,
    b1: Any,
) -> Any:
    """Farseer's law: floor, data coefficient and data exponent all depend on N.

    ``exp(a3*N**gamma + b3) + exp(a2*N**beta + b2) * D**(-exp(a1*N**alpha + b1))``. N leaves
    embeddings out; the authors' loss is in bits per character. Nine parameters want a grid of
    sizes with several token counts at each; coefficients printed to three digits do not reproduce
    the authors' errors, the full-precision set does. Nothing keeps the floor above zero as N grows.
    """
    size = n_params_non_embedding
    return np.exp(a3 * size**gamma + b3) + np.exp(a2 * size**beta + b2) * n_tokens ** (-np.exp(a1 * size**alpha + b1))
