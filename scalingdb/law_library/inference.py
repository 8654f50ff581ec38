"""Chapter 11. Inference: samples, votes, steps, retrieval and drafts.

Compute spent after training buys success in four currencies: more attempts at a problem, more votes
on a step, more context, more tokens guessed ahead. Where attempts are independent the laws follow
from probability and have no free form; what is empirical is how difficulty is spread over problems,
and that spread turns an exponential in the number of attempts into a power.

Probabilities are fractions. Coverage, pass@k and hit@k all mean that at least one of k attempts is
right, which someone must be able to tell: without a verifier none of these curves is accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from scalingdb.errors import DataError
from scalingdb.law_library._core import FloatArray, exponent, law, positive, real
from scalingdb.law_library._starts import asymptotes, straight_line

_COVERAGE = {"pass_at_k": "share of problems that at least one of k samples solves (pass@k, coverage), a fraction"}
_FAILURE = {"failure_at_k": "share of problems that none of k samples solves, 1 - pass@k, a fraction"}

# ---- attempts at a problem ---------------------------------------------------------------------


def _exponentiated_power_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """The law is a straight line of ln(-ln y) on ln k: lines through the centre, around the best slope."""
    (samples,) = inputs
    inside = (y > 0) & (y < 1) & (weights > 0)
    if np.count_nonzero(inside) < 2:
        return np.empty((0, 2))
    x, z = np.log(samples[inside]), np.log(-np.log(y[inside]))
    slope, _ = straight_line(x, z, weights[inside])
    powers = max(-slope, 1e-3) * np.array([0.5, 0.8, 0.95, 1.05, 1.25, 2.0])
    log_a = z.mean() + powers * x.mean()
    return np.asarray(np.stack([np.exp(log_a), powers], axis=1)[(log_a < 600) & (powers < 10)])


@law(
    "exponentiated_power",
    cite="Brown et al., arXiv:2407.21787, eq. 3",
    inputs=("n_samples",),
    output="pass_at_k",
    params={
        "a": positive("minus the log coverage of a single sample", start=(0.5, 8.0)),
        "b": exponent("exponent of the number of samples", start=(0.1, 0.5)),
    },
    starts=_exponentiated_power_starts,
    meanings=_COVERAGE,
    domain={"n_samples": (1.0, 1e4)},
    authors_fit="scipy curve_fit of coverage at 40 values of k spread evenly on a log scale, 1 to 10,000 samples",
    evidence="full text, section 3.1 and figure 5",
)
def exponentiated_power(n_samples: Any, *, a: Any, b: Any) -> Any:
    """Coverage of repeated sampling, ``exp(-a*k**-b)``: minus the log coverage is a power of k.

    The paper writes ``exp(a*k**b)`` with both constants negative; signs are turned here so that a
    and b are positive. Use the unbiased estimate of pass@k from n > k samples, and resample
    problems, not samples. The law is empirical and its authors show where it fails (formal proofs,
    MiniF2F); ``pass_at_k_mixture`` says why it may hold and for how long. Action error of sampled
    robot policies has been reported to fall by the same form (arXiv:2506.17811).

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("exponentiated_power")
    >>> print(f"{law(100, a=1.33, b=0.43):.3f}")  # Llama-3-8B-Instruct on MATH; 0.829 was measured
    0.832
    """
    return np.exp(-a * n_samples**-b)


def _mixture_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Slopes of the tail, each with the second shape that puts the curve through its first point."""
    (samples,) = inputs
    inside = (y > 0) & (y < 1) & (weights > 0)
    if np.count_nonzero(inside) < 2:
        return np.empty((0, 2))
    k, failure = samples[inside], y[inside]
    order = np.argsort(k)
    half = order[order.size // 2 :]
    slope, _ = straight_line(np.log(k[half]), np.log(failure[half]), np.ones(half.size))
    rows = []
    for factor in (0.5, 0.8, 0.95, 1.05, 1.25, 2.0):
        alpha = min(max(-slope, 0.02) * factor, 50.0)
        rows += [[alpha, alpha * ratio] for ratio in (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)]
    return np.array(rows)


_SHAPES = {
    "alpha": positive("shape near zero: density of hard problems, p**(alpha - 1)", start=(0.2, 0.8)),
    "beta": positive("shape near one: the larger, the fewer easy problems", start=(1.0, 10.0)),
}


@law(
    "action_error",
    cite="arXiv:2506.17811, project page: log e = log a + b log k",
    inputs=("n_samples",),
    output="action_error",
    params={
        "a": positive("error of the best of one sample"),
        "b": exponent("fall of its logarithm with the logarithm of the samples"),
    },
    meanings={
        "n_samples": "actions drawn from the policy",
        "action_error": "error of the best action among them, in the unit of the action",
    },
    evidence="the project page; the paper calls it an exponentiated power law",
)
def action_error(n_samples: Any, *, a: Any, b: Any) -> Any:
    """Error of the best of k sampled actions, ``a * k**-b``: the decreasing form of ``exponentiated_power``.

    It has no floor, and holds for an oracle that picks the best sample: a verifier picks worse.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('action_error')(16, a=0.2, b=0.25):.3f}")
    0.100
    """
    return a * n_samples**-b


@law(
    "pass_at_k_mixture",
    cite="Schaeffer et al., arXiv:2502.17578",
    inputs=("n_samples",),
    output="failure_at_k",
    params=_SHAPES,
    starts=_mixture_starts,
    meanings=_FAILURE,
    authors_fit=(
        "maximum likelihood of a Beta-binomial (or a scaled Beta, or a Kumaraswamy) of the successes per problem; "
        "the curve in k follows by integration"
    ),
    evidence="authors' code (RylanSchaeffer/KoyejoLab-Large-How-Do-Language-Monkey-Power-Get-Their-Power)",
)
def pass_at_k_mixture(n_samples: Any, *, alpha: Any, beta: Any) -> Any:
    """Failure of k attempts where success rates are Beta-distributed, ``B(alpha, beta + k)/B(alpha, beta)``.

    One problem with success rate p is missed by k attempts with probability ``(1 - p)**k``, which
    falls exponentially; the mean over ``p ~ Beta(alpha, beta)`` is this ratio of Beta functions and
    falls as ``k**-alpha``: the exponent of the aggregate is the shape of the difficulty distribution
    near zero. At k = 1 it is ``beta/(alpha + beta)``. Fit the counts of successes per problem by
    likelihood where you have them; a curve fitted to the aggregate needs many samples to see the
    same tail. A share of problems that cannot be solved at all is not in this form. The Beta function
    has no symbolic counterpart here, so a fit takes numerical derivatives.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("pass_at_k_mixture")
    >>> print(f"{law(1, alpha=0.3, beta=1.5):.4f}")  # beta / (alpha + beta)
    0.8333
    >>> print(f"{law(2e4, alpha=0.3, beta=1.5) / law(1e4, alpha=0.3, beta=1.5):.4f}")  # 2**-0.3
    0.8123
    """
    from scipy.special import betaln

    return np.exp(betaln(alpha, beta + n_samples) - betaln(alpha, beta))


def _log1mexp(x: FloatArray) -> FloatArray:
    """``ln(1 - exp(x))`` for x <= 0 without loss of digits at either end."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(x > -np.log(2), np.log(-np.expm1(x)), np.log1p(-np.exp(x))))


def _quadrature(count: int, low: float, high: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Ln p and ln(1 - p) at the nodes of a double-exponential rule on (0, 1), and weights ``dp/(p*(1 - p))``."""
    t = np.linspace(low, high, count)
    half = math.pi * np.sinh(t)  # p = 1/(1 + exp(-half)) keeps its distance from either end
    return -np.logaddexp(0.0, -half), -np.logaddexp(0.0, half), math.pi * np.cosh(t) * (t[1] - t[0])


_LOG_P, _LOG_MISS, _WEIGHTS = _quadrature(401, -7.2, 4.5)


@law(
    "pass_at_k_kumaraswamy",
    cite="Schaeffer et al., arXiv:2502.17578",
    inputs=("n_samples",),
    output="failure_at_k",
    params=_SHAPES,
    starts=_mixture_starts,
    meanings=_FAILURE,
    authors_fit="maximum likelihood of a Kumaraswamy-binomial of the successes per problem, integrated numerically",
    evidence="authors' code (RylanSchaeffer/KoyejoLab-Large-How-Do-Language-Monkey-Power-Get-Their-Power)",
)
def pass_at_k_kumaraswamy(n_samples: Any, *, alpha: Any, beta: Any) -> Any:
    """Failure of k attempts where success rates follow a Kumaraswamy distribution.

    The mean of ``(1 - p)**k`` over problems whose p has the distribution function
    ``1 - (1 - p**alpha)**beta``. That resembles the Beta, has the same tail ``k**-alpha`` and elementary
    moments, but this mean is not elementary: it is integrated by a double-exponential rule, good to
    nine digits up to a million attempts. At ``beta = 1`` both distributions are the same, at ``alpha = 1``
    the mean is ``beta/(beta + k)``. Where the two mixtures fit alike but disagree further out in k, the
    tail is not identified. The integral has no symbolic form, so a fit takes numerical derivatives.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("pass_at_k_kumaraswamy")
    >>> print(f"{law(9.0, alpha=1.0, beta=1.0):.6f}")  # p uniform: 1 / (k + 1)
    0.100000
    """
    # density times p*(1 - p), which the weights lack; p**(alpha - 1) spans hundreds of decades, hence logarithms
    log_density = np.log(alpha * beta) + alpha * _LOG_P + (beta - 1) * _log1mexp(alpha * _LOG_P) + _LOG_MISS
    attempts = np.asarray(n_samples, dtype=float)[..., None]
    return (np.exp(attempts * _LOG_MISS + log_density) * _WEIGHTS).sum(-1)


def _ttspm_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given the ceiling, the log of the gap to it is a straight line through the origin."""
    (attempts,) = inputs
    used = weights > 0
    rows = []
    for ceiling in asymptotes(y[used], high=1.0)[1]:
        inside = used & (y < ceiling)
        gap = np.log((ceiling - y[inside]) / ceiling)
        trust = weights[inside] * np.exp(2 * gap)
        n = attempts[inside]
        if trust.sum() > 0 and (trust * n * n).sum() > 0:
            rows.append(
                [ceiling, float(np.clip(-np.expm1((trust * n * gap).sum() / (trust * n * n).sum()), 1e-9, 0.99))]
            )
    return np.array(rows).reshape(-1, 2)


@law(
    "ttspm",
    cite="Wang et al., arXiv:2505.20522, performance model of parallel and sequential scaling",
    inputs=("n_samples",),
    output="pass_at_k",
    params={
        "F_max": positive("success that unlimited attempts reach", low=0.0, high=1.0, start=(0.5, 0.95)),
        "p": positive(
            "chance that one attempt succeeds where success is possible", low=0.0, high=1.0, start=(0.02, 0.2)
        ),
    },
    starts=_ttspm_starts,
    meanings={**_COVERAGE, "n_samples": "parallel samples, or rounds of rethinking in sequence"},
    evidence_kind="second_hand",
    evidence="two independent notes on the paper",
)
def ttspm(n_samples: Any, *, F_max: Any, p: Any) -> Any:
    """Saturation of test-time scaling, ``F_max*(1 - (1 - p)**n)``.

    Independent parallel samples and rethinking in rounds (an absorbing Markov chain) lead to the
    same curve, with p the chance of one sample or of one round. It treats all problems alike; where
    difficulty varies, early gains are steeper and late ones slower than the curve, and
    ``pass_at_k_mixture`` fits better. :func:`ttspm_saturation` is the number of attempts beyond which
    another one gains less than a threshold.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('ttspm')(2, F_max=0.8, p=0.5):.3f}")
    0.600
    """
    return F_max * (1 - (1 - p) ** n_samples)


def ttspm_saturation(gain: float, *, F_max: float, p: float) -> int:
    """Fewest attempts n after which one more gains less than `gain`: ``F_max*p*(1 - p)**n <= gain``.

    Parameters
    ----------
    gain : float
        Smallest gain that is worth an attempt, a fraction.
    F_max, p : float
        As in :data:`ttspm`, both in (0, 1).

    Returns
    -------
    int
        0 if even the first attempt gains less.

    Raises
    ------
    DataError
        If `gain`, `F_max` or `p` leaves its range.

    Examples
    --------
    >>> ttspm_saturation(0.01, F_max=1.0, p=0.5)  # 0.5**7 is the first gain below 1 %
    6
    """
    if not (gain > 0 and 0 < F_max <= 1 and 0 < p < 1):
        raise DataError(
            f"ttspm_saturation: gain={gain!r}, F_max={F_max!r}, p={p!r} leave no saturation point",
            "give gain > 0, F_max in (0, 1] and p in (0, 1).",
        )
    return max(math.ceil(math.log(gain / (F_max * p)) / math.log1p(-p) - 1e-12), 0)


# ---- votes on a step, steps of a task ----------------------------------------------------------


def _implied(p: FloatArray, low: float) -> FloatArray:
    """Starts: the step accuracies that single rows imply, from the lowest to the highest."""
    usable = np.sort(p[np.isfinite(p) & (p > low) & (p < 1)])
    return usable[np.linspace(0, usable.size - 1, 31).astype(int)][:, None] if usable.size else np.empty((0, 1))


def _vote_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    margin, steps = inputs
    with np.errstate(all="ignore"):
        odds = np.expm1(-np.log(y) / steps) ** (1 / margin)
    return _implied(1 / (1 + odds[weights > 0]), 0.5)


def _horizon_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    (steps,) = inputs
    with np.errstate(all="ignore"):
        return _implied((y ** (1 / steps))[weights > 0], 0.0)


@law(
    "vote_reliability",
    cite="Meyerson et al., arXiv:2511.09030, eq. 14 solved for the success",
    inputs=("vote_margin", "n_task_steps"),
    output="task_success",
    params={"p": real("probability that one sample of one step is right", low=0.5, high=1.0, start=(0.75, 0.97))},
    starts=_vote_starts,
    meanings={
        "vote_margin": "votes by which an answer must lead before it is accepted",
        "n_task_steps": "steps of the task, all of which must be right",
        "task_success": "probability that every step of the task is right",
    },
    evidence_kind="second_hand",
    evidence="several independent implementations of the paper's formula; gambler's ruin",
)
def vote_reliability(vote_margin: Any, n_task_steps: Any, *, p: Any) -> Any:
    """Success of a task whose every step is voted on, ``(1 + ((1 - p)/p)**k)**-s``.

    First-to-ahead-by-k voting between the right answer and one rival is a gambler's ruin, which the
    right answer wins with probability ``1/(1 + ((1 - p)/p)**k)``; s steps multiply. It needs p > 1/2
    at every step, and votes that err independently: errors shared by all samples are not voted away.
    A single rival is the worst case. At k = 1 there is no vote and the law is ``horizon``.
    :func:`votes_needed` inverts it; the margin, and so the cost of a step, grows as the logarithm of s.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('vote_reliability')(3, 1048575, p=0.999):.4f}")
    0.9989
    """
    return (1 + ((1 - p) / p) ** vote_margin) ** -n_task_steps


def votes_needed(target: float, n_task_steps: float, *, p: float) -> int:
    """Smallest vote margin with which the whole task succeeds with probability `target`.

    ``ceil(ln(target**(-1/s) - 1)/ln((1 - p)/p))``, eq. 14 of arXiv:2511.09030 with one step per agent.

    Parameters
    ----------
    target : float
        Wanted probability that all steps are right, in (0, 1).
    n_task_steps : float
        Steps s of the task.
    p : float
        Probability that one sample of one step is right, above 1/2.

    Raises
    ------
    DataError
        If a value leaves its range: at p <= 1/2 no margin is enough.

    Examples
    --------
    >>> votes_needed(0.95, 1023, p=0.85)
    6
    """
    if not (0 < target < 1 and n_task_steps >= 1 and 0.5 < p < 1):
        raise DataError(
            f"votes_needed: target={target!r}, n_task_steps={n_task_steps!r}, p={p!r} have no answer",
            "give a target in (0, 1), at least one step, and p above 1/2 and below 1: voting amplifies a majority.",
        )
    odds = math.expm1(-math.log(target) / n_task_steps)
    return max(math.ceil(math.log(odds) / math.log((1 - p) / p) - 1e-12), 1)


@law(
    "horizon",
    cite="Sinha et al., arXiv:2509.09677, proposition 1",
    inputs=("n_task_steps",),
    output="task_success",
    params={"p": real("probability that one step is right", low=0.0, high=1.0, start=(0.5, 0.99))},
    starts=_horizon_starts,
    meanings={
        "n_task_steps": "steps of the task, all of which must be right",
        "task_success": "probability that every step of the task is right",
    },
    evidence_kind="second_hand",
    evidence="two independent notes on the paper that quote the proposition",
)
def horizon(n_task_steps: Any, *, p: Any) -> Any:
    """Success of a task of s equally hard steps, ``p**s``; its inverse is the horizon length.

    A model keeps a success rate of t for ``ln(t)/ln(p)`` steps (:func:`horizon_length`), which grows
    like ``1/(1 - p)``: near p = 1 a small gain in step accuracy is a long gain in horizon. The
    assumptions are a constant p and no recovery. The authors show that p falls along a run, as
    models condition on their own mistakes, so read the horizon as an upper bound and p as an average.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('horizon')(69, p=0.99):.3f}")
    0.500
    """
    return p**n_task_steps


def horizon_length(target: float, *, p: float) -> int:
    """Steps after which the success rate of :data:`horizon` has fallen to `target`, ``ceil(ln(target)/ln(p))``.

    Parameters
    ----------
    target : float
        Success rate at which the horizon ends, in (0, 1); the authors use 1/2.
    p : float
        Step accuracy, in (0, 1).

    Raises
    ------
    DataError
        If a value leaves its range.

    Examples
    --------
    >>> [horizon_length(0.5, p=p) for p in (0.9, 0.99, 0.999)]
    [7, 69, 693]
    """
    if not (0 < target < 1 and 0 < p < 1):
        raise DataError(
            f"horizon_length: target={target!r}, p={p!r} have no horizon", "give both strictly between 0 and 1."
        )
    return math.ceil(math.log(target) / math.log(p) - 1e-12)


# ---- context and drafts ------------------------------------------------------------------------


def _rag_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Through the inverse of the sigmoid the law is linear in all parameters."""
    documents, shots, iterations, gain_document, gain_shot = inputs
    share = (y + 2.18) / 3.30
    inside = (share > 0) & (share < 1) & (weights > 0)
    if np.count_nonzero(inside) < 6:
        return np.empty((0, 6))
    logs = [np.log(values[inside]) for values in (documents, shots, iterations)]
    design = np.stack(
        [*logs, gain_document[inside] * logs[0], gain_shot[inside] * logs[1], np.ones(inside.sum())], axis=1
    )
    part = share[inside]
    root = np.sqrt(weights[inside]) * part * (1 - part)
    target = np.log(part / (1 - part)) / 1.81 - 0.46
    solution, *_ = np.linalg.lstsq(design * root[:, None], target * root, rcond=None)
    return np.array([solution, 0.9 * solution, 1.1 * solution])


@law(
    "rag_compute",
    cite="Yue et al., arXiv:2410.04343, eq. 2 and appendix F",
    inputs=("n_documents", "n_rag_shots", "n_iterations", "gain_document", "gain_shot"),
    output="rag_score",
    params={
        "a_doc": real("gain per unit of ln documents", start=(0.05, 0.15)),
        "a_shot": real("gain per unit of ln shots", start=(0.03, 0.1)),
        "a_iter": real("gain per unit of ln iterations", start=(0.05, 0.2)),
        "b_doc": real("change of the first by what one document gains on the task", start=(0.005, 0.015)),
        "b_shot": real("change of the second by what one shot gains on the task", start=(0.005, 0.015)),
        "c": real("level at one document, one shot and one iteration", start=(0.1, 0.3)),
    },
    starts=_rag_starts,
    meanings={
        "n_documents": "retrieved documents in the prompt (a small constant for none)",
        "n_rag_shots": "demonstrations in the prompt (a small constant for none)",
        "n_iterations": "rounds of generation and retrieval",
        "gain_document": "informativeness of documents: what adding one document gains over zero-shot answering",
        "gain_shot": "informativeness of demonstrations: what adding one of them gains over zero-shot answering",
        "rag_score": "score on the task, normalised by the authors; it may be negative",
    },
    authors_fit="ordinary least squares of the score, through the inverse sigmoid (Gemini 1.5 Flash, R2 0.903)",
    evidence="full text: eq. 2, its footnote, and table 8 with the sigmoid below it",
)
def rag_compute(
    n_documents: Any,
    n_rag_shots: Any,
    n_iterations: Any,
    gain_document: Any,
    gain_shot: Any,
    *,
    a_doc: Any,
    a_shot: Any,
    a_iter: Any,
    b_doc: Any,
    b_shot: Any,
    c: Any,
) -> Any:
    """Allocation of inference compute in retrieval: a sigmoid of a line in log settings.

    ``sigma(x)`` with ``x = (a + b*i)*ln(theta) + c`` over documents, shots and iterations, where i is
    how much one document or one shot gains on the task at hand, and zero for iterations. The sigmoid
    is the authors' own, ``3.30/(1 + exp(-1.81*(x + 0.46))) - 2.18``, fitted to scores that they
    normalise; for other scores its constants must be refitted. The gains i carry a fit from one
    task to another; within one task b cannot be distinguished from a. Settings of zero get a small constant
    inside the logarithm. Extrapolation held to about a million tokens of context, not to five.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> flash = dict(a_doc=0.325, a_shot=0.101, a_iter=0.177, b_doc=-0.067, b_shot=-0.008, c=-0.730)
    >>> law = sdb.get_law("rag_compute")
    >>> for documents in (1, 10, 100):  # table 8, no gain from one document or shot alone
    ...     print(f"{law(documents, 1, 1, 0.0, 0.0, **flash):.2f}")
    -0.93
    0.14
    0.80
    """
    x = (
        (a_doc + b_doc * gain_document) * np.log(n_documents)
        + (a_shot + b_shot * gain_shot) * np.log(n_rag_shots)
        + a_iter * np.log(n_iterations)
        + c
    )
    return 3.30 * (0.5 + 0.5 * np.tanh(0.905 * (x + 0.46))) - 2.18  # the sigmoid, safe from overflow


@law(
    "spec_decode_loglinear",
    cite="Yan et al., arXiv:2505.07858, theorems 1.1-1.3",
    inputs=("n_tokens",),
    output="acceptance",
    params={
        "alpha": real("acceptance gained per factor of ten in the input", start=(0.02, 0.06)),
        "beta": real("acceptance at one unit of the input", start=(0.05, 0.15)),
    },
    meanings={"acceptance": "share of drafted tokens that the target model accepts, or decoding speed"},
    evidence="abstract only: log-linear in tokens of the draft's pretraining, draft size and decoding batch size",
    evidence_kind="unchecked",
)
def spec_decode_loglinear(n_tokens: Any, *, alpha: Any, beta: Any) -> Any:
    """Acceptance of a draft model, ``alpha*log10(x) + beta``, x one of three: tokens, draft size, batch size.

    The abstract states log-linear laws for the acceptance rate (or the decoding speed) in the tokens
    that the draft was pretrained on, its capacity, and the decoding batch size, one at a time. Which
    quantity each theorem bounds, and over what range, was not read: form unverified, no coefficients
    stored. A share cannot exceed one, so the line must end; never extrapolate it past that. For
    another input than tokens give ``inputs={"n_tokens": "<column>"}`` to the fit.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('spec_decode_loglinear')(1e10, alpha=0.05, beta=0.1):.2f}")
    0.60
    """
    return alpha * np.log10(n_tokens) + beta
