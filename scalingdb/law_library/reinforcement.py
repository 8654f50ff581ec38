"""Chapter 12. Reinforcement learning and knowledge: what training after pretraining adds, and what weights hold.

Reward curves are bounded, so their laws saturate: in compute, towards a ceiling that a recipe may
move; in model size, towards a largest learning efficiency. The last law of the chapter bounds
memory itself, in bits per parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scalingdb.law_library._core import FloatArray, law, positive, real
from scalingdb.law_library._starts import logistic_starts

# ---- reward on compute -------------------------------------------------------------------------


def _rl_sigmoid_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given start and ceiling, the logit of the share gained is a straight line in ln C."""
    (hours,) = inputs
    rows = [
        [*((floor, ceiling) if slope > 0 else (ceiling, floor)), abs(slope), np.exp(-intercept / slope)]
        for floor, ceiling, slope, intercept in logistic_starts(np.log(hours), y, weights)
        if abs(intercept / slope) < 600
    ]
    return np.array(rows).reshape(-1, 4)


@law(
    "rl_sigmoid",
    cite="Khatri et al., arXiv:2510.13786, eq. 1",
    inputs=("gpu_hours",),
    output="pass_rate",
    params={
        "R_0": positive("pass rate before training", low=0.0, high=1.0, start=(0.1, 0.4)),
        "A": positive("asymptotic pass rate", low=0.0, high=1.0, start=(0.5, 0.9)),
        "B": positive("steepness: efficiency in compute", start=(0.5, 4.0)),
        "C_mid": positive("compute at which half of the gain is reached, GPU-hours", start=(5.0, 200.0)),
    },
    starts=_rl_sigmoid_starts,
    meanings={
        "gpu_hours": "compute of the training run, GPU-hours",
        "pass_rate": "mean pass rate on held-out prompts of the training distribution, a fraction",
    },
    domain={"gpu_hours": (1.5e3, 1e5)},
    authors_fit=(
        "least squares of B at a grid of A and C_mid, points after the first 1,500 GPU-hours; three runs of one recipe "
        "differ by 0.02 in A"
    ),
    evidence="full text, eq. 1; independent re-implementations",
)
def rl_sigmoid(gpu_hours: Any, *, R_0: Any, A: Any, B: Any, C_mid: Any) -> Any:
    """Pass rate of reinforcement learning on compute, ``R_0 + (A - R_0)/(1 + (C_mid/C)**B)``.

    A is the ceiling of a recipe, B and C_mid how fast it gets there; the authors find that most
    design choices move the second pair only. Before the inflection A and B trade off: check a forecast
    by fitting a prefix of the run, and report the profile of A. Drop the first part of training, as
    they do, and fix R_0 at the measured start. The measure is in-distribution; benchmarks elsewhere
    rise with it but follow no common law. For compute in other units give
    ``inputs={"gpu_hours": "<column>"}`` to the fit: only C_mid depends on the unit.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(sdb.get_law("rl_sigmoid")(3000.0, R_0=0.25, A=0.75, B=2.0, C_mid=3000.0))
    0.5
    """
    return R_0 + (A - R_0) / (1 + (C_mid / gpu_hours) ** B)


@law(
    "rl_learning_efficiency",
    cite="Tan et al., arXiv:2509.25300, learning efficiency k(N)",
    inputs=("n_params",),
    output="learning_efficiency",
    params={
        "K_max": positive("efficiency of an unlimited model", start=(0.02, 0.5)),
        "N_0": positive("size at half of it", start=(1e9, 1e11)),
    },
    meanings={"learning_efficiency": "slope of minus log error rate on log compute (or log data) of one model size"},
    domain={"n_params": (5e8, 7.2e10)},
    authors_fit="slopes of the sizes of Qwen2.5 from 0.5B to 72B, K_max within 0 to 2 and N_0 within 1e8 to 1e11",
    evidence="authors' code and several notes that quote the formula",
)
def rl_learning_efficiency(n_params: Any, *, K_max: Any, N_0: Any) -> Any:
    """Learning efficiency of a model size in reinforcement learning, ``K_max/(1 + N_0/N)``.

    The slope at which one size's error falls with compute or data, in log-log. It grows with N like
    a saturating binding curve: far below N_0 twice the size learns twice as fast, far above nothing is
    gained. Compute and data have their own K_max and N_0. A handful of sizes
    of one family fixes the bend weakly when N_0 lies near the largest.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('rl_learning_efficiency')(1e10, K_max=0.2, N_0=1e10):.3f}")
    0.100
    """
    return K_max / (1 + N_0 / n_params)


def _rl_post_power_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given the half-size N_0, the logarithm of the law is linear in the rest."""
    size, compute = inputs
    used = (y > 0) & (weights > 0)
    log_n, log_x, log_y = np.log(size[used]), np.log(compute[used]), np.log(y[used])
    root = np.sqrt(weights[used])
    rows = []
    for n_0 in np.exp(log_n.mean()) * np.geomspace(1e-3, 1e3, 25):
        share = 1 / (1 + n_0 / size[used])
        design = np.stack([share, share * log_n, -share * log_x], axis=1)
        (level, tilt, k_max), *_ = np.linalg.lstsq(design * root[:, None], log_y * root, rcond=None)
        if k_max > 0 and abs(level / k_max) < 600:
            rows.append([k_max, n_0, np.exp(level / k_max), tilt / k_max])
    return np.array(rows).reshape(-1, 4)


@law(
    "rl_post_power",
    cite="Tan et al., arXiv:2509.25300",
    inputs=("n_params", "train_flops"),
    output="error_rate",
    params={
        "K_max": positive("learning efficiency of an unlimited model", start=(0.05, 0.2)),
        "N_0": positive("size at half of it", start=(1e9, 1e10)),
        "X_0": positive("compute at which a model of one parameter would have error one", start=(1e2, 1e4)),
        "r": real("power of N by which that compute grows", start=(1.2, 1.6)),
    },
    starts=_rl_post_power_starts,
    meanings={"error_rate": "1 - pass@1 on held-out prompts, a fraction"},
    domain={"n_params": (5e8, 7.2e10)},
    authors_fit=(
        "least squares of log error with one intercept E(N) per size; the closed form of the intercept is the model "
        "'powlawmul' of the authors' analysis code"
    ),
    evidence="authors' code (tanzelin430/Mathematical-Reasoning-RL-Scaling-Law) and several notes on the paper",
)
def rl_post_power(n_params: Any, train_flops: Any, *, K_max: Any, N_0: Any, X_0: Any, r: Any) -> Any:
    """Error of post-training by reinforcement, ``(X_0*N**r/X)**k(N)`` with ``k(N) = K_max/(1 + N_0/N)``.

    The paper's law is ``log L = -k(N)*log X + E(N)`` with X compute or data and E looked up for each
    size, so it interpolates in compute only. Here E follows the closed form ``k(N)*log(X_0*N**r)`` of
    the authors' code, which can be held out by size. To keep the lookup, fit ``power`` to each size
    (``sdb.fit_by``) and the slopes with ``rl_learning_efficiency``. There is no floor: an error of
    zero lies at finite log X only in the limit, but a benchmark with wrong labels stops earlier. For
    data give ``inputs={"train_flops": "<column>"}`` to the fit.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("rl_post_power")
    >>> print(f"{law(1e9, 1e20, K_max=0.2, N_0=1e9, X_0=100.0, r=1.8):.3f}")
    0.661
    """
    return (X_0 * n_params**r / train_flops) ** (K_max / (1 + N_0 / n_params))


# ---- memory ------------------------------------------------------------------------------------


@law(
    "knowledge_capacity",
    cite="Allen-Zhu and Li, arXiv:2404.05405, results 1 and 2",
    inputs=("n_params",),
    output="knowledge_bits",
    params={"R": positive("bits of knowledge per parameter", start=(0.5, 2.5))},
    meanings={"knowledge_bits": "information about facts that a model stores, bits"},
    domain={"n_params": (1e6, 5e8)},
    authors_fit="the largest ratio of stored bits to parameters over many sizes and data sets of synthetic biographies",
    evidence="abstract (2 bits, also with int8 weights); two notes (1 bit at 100 exposures, 0.7 with int4)",
)
def knowledge_capacity(n_params: Any, *, R: Any) -> Any:
    """Facts that fit into a model, ``R*N`` bits, as long as there are so many to learn.

    About 2 bits per parameter where every fact was seen 1,000 times, about 1 at 100 exposures; 8-bit
    weights keep the 2, 4-bit weights about 0.7. What is stored is the smaller of this and what the
    data hold, so fit only models that have filled up. Bits are counted from synthetic tuples whose
    entropy is known; text from the web has no such count, and junk among the data
    lowers R up to twenty-fold.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('knowledge_capacity')(7e9, R=2.0):.2g}")
    1.4e+10
    """
    return R * n_params
