"""Chapter 9. Hyper-parameters as powers of N and D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scalingdb.law_library._core import FloatArray, exponent, law, positive
from scalingdb.law_library._starts import best_cells, grid, least_squares, sampled

_GRID = {"n_params_non_embedding": (6e7, 1.08e9), "n_tokens": (2e9, 1e11)}
_STEP_LAW_FIT = (
    "every run within 0.25 % of the best loss of its cell of N and D; least squares of the logarithms, 1,000 bootstraps"
)


@law(
    "step_law",
    cite="Li et al., arXiv:2503.04715, eq. 1",
    inputs=("n_params_non_embedding", "n_tokens"),
    output="learning_rate",
    params={
        "c": positive("scale"),
        "a": exponent("fall of the optimal learning rate with N"),
        "b": exponent("its rise with D"),
    },
    domain=_GRID,
    authors_fit=_STEP_LAW_FIT,
    evidence="README of the authors' repository and its 1,000 bootstrap rows",
)
def step_law(n_params_non_embedding: Any, n_tokens: Any, *, c: Any, a: Any, b: Any) -> Any:
    """Optimal peak learning rate of the Step Law, ``c * N**-a * D**b``.

    N leaves embeddings out. It belongs to one optimiser and one schedule family (decay to a fixed
    small final rate). The optimum is a plateau: a factor 1.5 in the rate costs about a tenth of a
    percent of loss.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('step_law')(7e9, 1.4e12):.1e}")
    9.2e-04
    """
    return c * n_params_non_embedding**-a * n_tokens**b


@law(
    "step_law_batch",
    cite="Li et al., arXiv:2503.04715, eq. 1",
    inputs=("n_tokens",),
    output="batch_size_tokens",
    params={"c": positive("scale"), "b": exponent("rise of the optimal batch with D")},
    domain={"n_tokens": _GRID["n_tokens"]},
    authors_fit=_STEP_LAW_FIT,
    evidence="README of the authors' repository and its 1,000 bootstrap rows",
)
def step_law_batch(n_tokens: Any, *, c: Any, b: Any) -> Any:
    """Optimal batch size of the Step Law in tokens, ``c * D**b``; it does not depend on N.

    The law belongs to the recipe of ``step_law``. The optimum is flatter still than that of the
    learning rate, and the two are coupled: use them together.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('step_law_batch')(1.4e12):.1e}")
    5.0e+06
    """
    return c * n_tokens**b


_LAYERWISE_EVIDENCE = "the abstract; the constants belong to the width at which they were tuned"


@law(
    "layerwise_learning_rate",
    cite="arXiv:2510.15262, rule for matrix parameters under AdamW",
    inputs=("d_model",),
    output="learning_rate",
    params={"c": positive("learning rate times width, from a tuned width", start=(1e-2, 1e2))},
    evidence=_LAYERWISE_EVIDENCE,
)
def layerwise_learning_rate(d_model: Any, *, c: Any) -> Any:
    """Learning rate of matrix parameters that carries over from a tuned width, ``c / d``.

    Vector parameters keep their learning rate and have no weight decay. It goes together with
    ``layerwise_weight_decay``: the singular values of a matrix settle near ``sqrt(eta/lambda) * d**0.75``, and only the
    two rules together keep them alike in every width.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> rule = sdb.get_law("layerwise_learning_rate")
    >>> round(rule(2048, c=256 * 4e-3) / rule(256, c=256 * 4e-3), 4)  # eight times the width
    0.125
    """
    return c / d_model


@law(
    "layerwise_weight_decay",
    cite="arXiv:2510.15262, rule for matrix parameters under AdamW",
    inputs=("d_model",),
    output="weight_decay",
    params={"c": positive("weight decay over the root of the width, from a tuned width", start=(1e-4, 1.0))},
    evidence=_LAYERWISE_EVIDENCE,
)
def layerwise_weight_decay(d_model: Any, *, c: Any) -> Any:
    """Weight decay of matrix parameters that carries over from a tuned width, ``c * sqrt(d)``.

    See ``layerwise_learning_rate``, which it belongs to.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> rule = sdb.get_law("layerwise_weight_decay")
    >>> rule(1024, c=0.1 / 16) / rule(256, c=0.1 / 16)
    2.0
    """
    return c * np.sqrt(d_model)


# ---- loss around the optimum --------------------------------------------------------------------


def _valley_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """A parabola in the logarithms gives both widths and where the optima lie; then the surface without the valley.

    In the parabola N and D enter by first and second powers, the settings by squares and by products with them.
    """
    n, d, eta, batch = (np.log(values) for values in inputs)
    middle = [float(values.mean()) for values in (n, d, eta, batch)]
    n, d, eta, batch = (values - at for values, at in zip((n, d, eta, batch), middle, strict=True))
    columns = [np.ones_like(n), n, d, n * n, n * d, d * d, eta**2, eta, eta * n, eta * d, batch**2, batch, batch * d]
    solved, _ = least_squares(np.array(columns)[None], np.log(y), weights)
    bend, slope, with_n, with_d = solved[0, 6:10]
    bend_b, slope_b, with_d_b = solved[0, 10:]
    log_n, log_d = n + middle[0], d + middle[1]
    rows, misfits = [], []
    # the logarithm of a wide valley is flatter than a parabola: try steeper ones, too
    for steeper in (1.0, 1.5, 2.5):
        c, e = steeper * max(float(bend), 1e-4), steeper * max(float(bend_b), 1e-4)
        a = float(np.clip(with_n / (2 * max(bend, 1e-4)), 1e-3, 3.0))
        b = float(np.clip(-with_d / (2 * max(bend, 1e-4)), 1e-3, 3.0))
        q = float(np.clip(-with_d_b / (2 * max(bend_b, 1e-4)), 1e-3, 3.0))
        at, at_b = -slope / (2 * max(bend, 1e-4)), -slope_b / (2 * max(bend_b, 1e-4))
        log_k = float(np.clip(at, -5, 5)) + middle[2] + a * middle[0] - b * middle[1]
        log_m = float(np.clip(at_b, -5, 5)) + middle[3] - q * middle[1]
        off = eta + middle[2] - (log_k - a * log_n + b * log_d)
        off_b = batch + middle[3] - (log_m + q * log_d)
        floor = y / (1 + c * off**2 + e * off_b**2)
        for alpha, beta in grid(np.geomspace(0.05, 1.2, 10), np.geomspace(0.05, 1.2, 10)):
            of_n, of_d = np.exp(-alpha * n), np.exp(-beta * d)
            both, misfit = least_squares(np.stack([np.ones_like(n), of_n, of_d])[None], floor, weights / floor**2)
            scale, size, data = np.maximum(both[0], 1e-3 * float(y.mean()))
            rows.append(
                [
                    *(scale, size * np.exp(alpha * middle[0]), data * np.exp(beta * middle[1]), alpha, beta),
                    *(c, np.exp(log_k), a, b, e, np.exp(log_m), q),
                ]
            )
            misfits.append(float(misfit[0]))
    parabolas = best_cells(np.array(rows), np.array(misfits), 32)
    return np.concatenate([parabolas, _valleys_anywhere(inputs, y, weights)])


def _valleys_anywhere(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """The surface under valleys of any place and width, drawn at random.

    Where rate and batch were set by a rule, no parabola can tell the valley from the surface.
    """
    inputs, y, weights = sampled(inputs, y, weights)
    logs = [np.log(values) for values in inputs]
    middle = [float(log.mean()) for log in logs]
    n, d, eta, batch = (log - at for log, at in zip(logs, middle, strict=True))
    low = np.array([0.0, 0.0, -3.0, np.log(1e-4), 0.0, -3.0, np.log(1e-5), np.log(0.05), np.log(0.05)])
    high = np.array([1.5, 1.5, 3.0, np.log(0.5), 1.5, 3.0, np.log(0.3), np.log(1.2), np.log(1.2)])
    drawn = low + (high - low) * np.random.default_rng(0).random((4096, low.size))
    drawn[::2, [2, 5]] *= 8.0  # a flank alone, of a valley far off
    drawn[:, [3, 6, 7, 8]] = np.exp(drawn[:, [3, 6, 7, 8]])
    a, b, at, c, q, at_b, e, alpha, beta = drawn.T
    cost = 1 + c[:, None] * (eta - (at[:, None] - a[:, None] * n + b[:, None] * d)) ** 2
    cost += e[:, None] * (batch - (at_b[:, None] + q[:, None] * d)) ** 2
    columns = np.stack([cost, cost * np.exp(-alpha[:, None] * n), cost * np.exp(-beta[:, None] * d)], axis=1)
    solved, misfit = least_squares(columns, y, weights / y**2)
    floor, size, data = np.maximum(solved, 1e-3 * float(y.mean())).T
    scales = [floor, size * np.exp(alpha * middle[0]), data * np.exp(beta * middle[1])]
    k, m = np.exp(at + middle[2] + a * middle[0] - b * middle[1]), np.exp(at_b + middle[3] - q * middle[1])
    return best_cells(np.column_stack([*scales, alpha, beta, c, k, a, b, e, m, q]), misfit, 96)


@law(
    "loss_valley",
    cite="ours: Hoffmann et al., arXiv:2203.15556, approach 3, around the optima of Li et al., arXiv:2503.04715, eq. 1",
    inputs=("n_params_non_embedding", "n_tokens", "learning_rate", "batch_size_tokens"),
    params={
        "E": positive("irreducible loss of the fit", start=(0.5, 3.0)),
        "A": positive("scale of the term in N", start=(10.0, 1e4)),
        "B": positive("scale of the term in D", start=(10.0, 1e5)),
        "alpha": exponent("exponent of N", start=(0.15, 0.6)),
        "beta": exponent("exponent of D", start=(0.15, 0.6)),
        "c": positive("relative cost of a learning rate that is off by a factor of e", start=(5e-3, 0.2)),
        "k": positive("scale of the best learning rate", start=(1e-3, 0.1)),
        "a": exponent("fall of the best learning rate with N", start=(0.3, 0.9)),
        "b": exponent("its rise with D", start=(0.2, 0.6)),
        "d": positive("relative cost of a batch that is off by a factor of e", start=(2e-3, 0.1)),
        "m": positive("scale of the best batch", start=(0.3, 30.0)),
        "q": exponent("rise of the best batch with D", start=(0.3, 0.8)),
    },
    starts=_valley_starts,
    domain={"learning_rate": (1e-5, 0.1), "batch_size_tokens": (1e4, 1e7)},
    authors_fit="none: the authors fit the optima, not the loss around them",
    evidence="surface and optima are published; the square of the logarithm is the first term around an optimum",
    evidence_kind="derived",
)
def loss_valley(
    n_params_non_embedding: Any,
    n_tokens: Any,
    learning_rate: Any,
    batch_size_tokens: Any,
    *,
    E: Any,
    A: Any,
    B: Any,
    alpha: Any,
    beta: Any,
    c: Any,
    k: Any,
    a: Any,
    b: Any,
    d: Any,
    m: Any,
    q: Any,
) -> Any:
    """Loss over size, data, learning rate and batch: a valley whose floor is Chinchilla's surface.

    ``(E + A/N**alpha + B/D**beta) * (1 + c*ln(eta/eta*)**2 + d*ln(batch/batch*)**2)`` with ``eta* = k * N**-a * D**b``
    and ``batch* = m * D**q``, the Step Law. A sweep of settings at several (N, D) fixes surface and optima together,
    so that runs off their optimum are of use, too. The square holds near the optimum: leave out runs that diverged, and
    expect too steep a loss at ten times the best rate. Rate and batch are not coupled here.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> given = dict(E=1.7, A=400, B=1100, alpha=0.34, beta=0.3)
    >>> given |= dict(c=0.02, k=1.79, a=0.713, b=0.307, d=0.01, m=0.58, q=0.571)
    >>> law = sdb.get_law("loss_valley")
    >>> best = 1.79 * 1e9**-0.713 * 2e10**0.307, 0.58 * 2e10**0.571
    >>> round(law(1e9, 2e10, 2 * best[0], best[1], **given) / law(1e9, 2e10, *best, **given), 4)
    1.0096
    """
    rate = np.log(learning_rate / (k * n_params_non_embedding**-a * n_tokens**b))
    batch = np.log(batch_size_tokens / (m * n_tokens**q))
    surface = E + A * n_params_non_embedding**-alpha + B * n_tokens**-beta
    return surface * (1 + c * rate**2 + d * batch**2)
