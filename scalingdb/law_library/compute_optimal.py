"""Chapter 3. What to do with a budget: optimal sizes as powers of compute, and how sizes are counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scalingdb.law_library._core import FloatArray, exponent, law, positive, real
from scalingdb.law_library._starts import least_squares

_RATIOS = {
    "budget_ratio_params": "how many times larger the budget gets, for the growth of parameters; 1 for tokens alone",
    "budget_ratio_tokens": "how many times larger the budget gets, for the growth of tokens; 1 for parameters alone",
    "growth": "factor by which optimal parameters, tokens, or the product of both grow",
}

_growth = real("power of a ratio", low=-2.0, high=3.0, start=(0.3, 0.8))

# ---- the frontier as a power law ----------------------------------------------------------------


def _line_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """A straight line through the logarithms."""
    log_c = np.log(inputs[0])
    centre = log_c.mean()
    (line,), _ = least_squares(np.stack([np.ones_like(log_c), log_c - centre])[None], np.log(y), weights)
    return np.array([[np.exp(line[0] - line[1] * centre), line[1]]])


@law(
    "optimal_params",
    cite="Hoffmann et al., arXiv:2203.15556, section 3 (approaches 1 and 2)",
    inputs=("train_flops",),
    output="n_params",
    params={
        "G": positive("optimal parameters at one FLOP", start=(0.01, 1.0)),
        "a": exponent("growth of the optimal size with compute", start=(0.3, 0.8)),
    },
    starts=_line_starts,
    authors_fit="a line through the logarithms of the optimal sizes of all budgets",
    evidence="text of the paper; code of Porian et al., who fit the same line under six recipes",
    aliases={"porian_fixes": None},
)
def optimal_params(train_flops: Any, *, G: Any, a: Any) -> Any:
    """Compute-optimal model size, ``G * C**a``.

    Needs the optimum of each budget first: the envelope of training curves (approach 1) or the
    vertex of a parabola through an IsoFLOP curve (approach 2). Whether a is 0.5 or 0.7 is mostly
    bookkeeping. Porian et al. (arXiv:2406.19146) start from Kaplan's recipe and arrive at
    Chinchilla's exponent by counting the FLOP of the output head, scaling the warm-up with the
    model, and tuning the optimiser at each scale: no new law, the same line under other recipes
    (source ``porian_discrepancies``, column ``family``).

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('optimal_params')(5.76e23, G=0.1, a=0.5):.2e}")
    7.59e+10
    """
    return G * train_flops**a


@law(
    "optimal_tokens",
    cite="Hoffmann et al., arXiv:2203.15556, section 3; Llama 3 report, arXiv:2407.21783, figure 3",
    inputs=("train_flops",),
    output="n_tokens",
    params={
        "G": positive("optimal tokens at one FLOP", start=(0.1, 10.0)),
        "b": exponent("growth of the optimal number of tokens with compute", start=(0.3, 0.8)),
    },
    starts=_line_starts,
    authors_fit="a line through the logarithms of the optimal tokens of all budgets",
    evidence="text of both papers",
)
def optimal_tokens(train_flops: Any, *, G: Any, b: Any) -> Any:
    """Compute-optimal number of tokens, ``G * C**b``; for ``C = 6*N*D`` the exponent is ``1 - a``.

    The Llama 3 report prints 0.29 and 0.53; rounded that far they are off by a third at its own
    budget, the figure's 0.299 and 0.537 give the 16T tokens that it used.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("optimal_tokens")
    >>> print(f"{law(3.8e25, G=0.299, b=0.537):.2e} {law(3.8e25, G=0.29, b=0.53):.2e}")
    1.63e+13 1.05e+13
    """
    return G * train_flops**b


# ---- published exponents ------------------------------------------------------------------------


@law(
    "chinchilla_a1",
    cite="Hoffmann et al., arXiv:2203.15556, table 2, approach 1",
    inputs=("budget_ratio_params", "budget_ratio_tokens"),
    output="growth",
    params={
        "a": _growth("growth of the optimal size"),
        "b": _growth("growth of the optimal number of tokens"),
    },
    meanings=_RATIOS,
    authors_fit="lower envelope of the training curves at 1,500 budgets; a line through the logarithms",
    evidence_kind="second_hand",
    evidence="table 2 as an independent reading of the paper quotes it",
)
def chinchilla_a1(budget_ratio_params: Any, budget_ratio_tokens: Any, *, a: Any, b: Any) -> Any:
    """Exponents of the training-curve envelope, as growth: ``r_N**a * r_D**b``.

    Published are exponents without their factors, which say how optimal sizes grow from one budget
    to another. With a budget r times larger parameters grow by ``law(r, 1)``, tokens by
    ``law(1, r)``, and their product by ``law(r, r)``: r again where ``C = 6*N*D`` holds, so
    ``a + b`` other than 1 shows that compute is counted in another way.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('chinchilla_a1')(100.0, 1.0):.0f}")  # a hundred times the compute
    10
    """
    return budget_ratio_params**a * budget_ratio_tokens**b


@law(
    "chinchilla_a2",
    cite="Hoffmann et al., arXiv:2203.15556, table 2, approach 2",
    inputs=("budget_ratio_params", "budget_ratio_tokens"),
    output="growth",
    params={
        "a": _growth("growth of the optimal size"),
        "b": _growth("growth of the optimal number of tokens"),
    },
    meanings=_RATIOS,
    authors_fit="a parabola in ln N through each IsoFLOP curve; a line through the logarithms of the vertices",
    evidence_kind="second_hand",
    evidence="table 2 as an independent reading quotes it; the other studies in the table of arXiv:2603.22339",
)
def chinchilla_a2(budget_ratio_params: Any, budget_ratio_tokens: Any, *, a: Any, b: Any) -> Any:
    """Exponents of IsoFLOP parabolas, as growth: ``r_N**a * r_D**b`` (see ``chinchilla_a1``).

    An IsoFLOP curve is no parabola: if the exponents of N and D differ, the vertex is off by a
    constant factor (0.3 % for a grid of twice and half, 4 % for sixteen times, at Chinchilla's
    exponents). That spoils the factor and not the exponent; a grid that drifts from the optimum
    with the budget spoils both. Check with a fit of the whole surface.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("chinchilla_a2")
    >>> print(f"{law(100.0, 1.0, variant='llama3'):.2f} {law(1.0, 100.0, variant='llama3'):.2f}")
    8.43 11.86
    """
    return budget_ratio_params**a * budget_ratio_tokens**b


# ---- counting parameters ------------------------------------------------------------------------


@law(
    "kaplan_chinchilla_map",
    cite="Pearce and Song, arXiv:2406.12907, main analysis",
    inputs=("n_params_non_embedding",),
    output="n_params",
    params={"g": positive("parameters of the embeddings, for a body of one parameter", start=(1e3, 1e6))},
    authors_fit="no fit: vocabulary of 32,000 and an aspect ratio of about 39",
    evidence="the authors' script",
)
def kaplan_chinchilla_map(n_params_non_embedding: Any, *, g: Any) -> Any:
    """Total parameters from those without embeddings, ``N + g * N**(1/3)``.

    Embeddings grow with width, the body with its cube at a fixed shape. The factor holds for one
    vocabulary and one aspect ratio. Chinchilla's law rewritten in Kaplan's N by this map, over
    Kaplan's range of sizes, has an optimal size that grows with an exponent near 0.78 instead of
    0.51: most of the disagreement of the two papers is a matter of counting.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("kaplan_chinchilla_map")
    >>> print(f"{law(1e6):.2e} {law(1e11):.3e}")
    5.75e+06 1.002e+11
    """
    return n_params_non_embedding + g * n_params_non_embedding ** (1 / 3)
