"""Chapter 10. Downstream tasks: from loss, size and compute to what a benchmark reports.

A task score is bounded by guessing below and by the labels above, so nearly every law here is a
curve between two asymptotes, and nearly every pitfall is an asymptote that the data do not reach.
Two routes lead to a score. The short one fits it on compute or size directly. The long one fits a
loss first and then the score on that loss; it may borrow models of other training runs for its
second step, which is where it gains and where it loses.

Accuracies, errors and pass rates are fractions, not percent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scalingdb.law_library._core import FloatArray, exponent, law, positive, real
from scalingdb.law_library._starts import (
    asymptotes,
    best_of_each,
    grid,
    least_squares,
    logistic_starts,
    straight_line,
    thinned,
)

_probability = positive(low=0.0, high=1.0, start=(0.05, 0.95))

# ---- error on loss -----------------------------------------------------------------------------


def _gadre_error_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given the asymptote, the logarithm of the gap to it is a straight line in the loss."""
    (loss,) = inputs
    _, ceilings = asymptotes(y[weights > 0], high=1.0)
    rows = []
    for eps in ceilings:
        gap = np.where(y < eps, eps - y, np.nan)
        slope, intercept = straight_line(loss, np.log(gap), weights * np.nan_to_num(gap) ** 2)
        if slope < 0 and intercept < 600:
            rows.append([eps, np.exp(intercept), -slope])
    return np.array(rows).reshape(-1, 3)


@law(
    "gadre_error",
    cite="Gadre et al., arXiv:2403.08540, law of the average top-1 error",
    inputs=("loss",),
    output="task_error",
    params={
        "eps": _probability("error towards which the average tends as the loss grows"),
        "k": positive("scale of the fall of the error", start=(0.1, 50.0)),
        "gamma": positive("rate at which a lower loss lowers the error", start=(0.1, 3.0)),
    },
    starts=_gadre_error_starts,
    meanings={
        "loss": "loss on C4 validation text, nats per GPT-NeoX token",
        "task_error": "mean top-1 error over the tasks, a fraction",
    },
    domain={"loss": (2.6, 5.4)},
    authors_fit=(
        "scipy curve_fit (least squares on the error) over six runs: 11M, 79M, 154M, 412M and 1.4B at 20 tokens per "
        "parameter, 11M at 320; loss on C4 validation text, error averaged over 17 tasks"
    ),
    evidence="authors' code (mlfoundations/scaling); refit of the released rows",
)
def gadre_error(loss: Any, *, eps: Any, k: Any, gamma: Any) -> Any:
    """Average task error from the pretraining loss, ``eps - k*exp(-gamma*L)``.

    L is the loss on C4 validation text in nats per GPT-NeoX token, whatever corpus the model was
    trained on. `eps` is an asymptote of the fit, not the error of guessing, and the curve says
    nothing about models worse than those fitted. The average of 17 tasks follows the law; a single
    task is far noisier, and which tasks are averaged is part of the law. Six points fix three
    parameters, so extrapolate the error with the interval beside it.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> error = sdb.get_law("gadre_error")
    >>> print(f"{error(2.66):.3f}")  # 1.4B parameters on 28.8B tokens of C4
    0.572
    """
    return eps - k * np.exp(-gamma * loss)


# ---- two steps: loss of the answer, then accuracy ----------------------------------------------


@law(
    "task_loss",
    cite="Bhagia et al., arXiv:2412.04403, step 1",
    inputs=("n_params_non_embedding", "n_tokens"),
    output="task_loss",
    params={
        "E": positive("loss that no model of this kind gets below", start=(0.01, 2.0)),
        "A": positive("scale of the term in N"),
        "B": positive("scale of the term in D"),
        "alpha": exponent("exponent of N"),
        "beta": exponent("exponent of D"),
    },
    meanings={"task_loss": "loss of the correct answer given the question, bits per byte of the answer"},
    domain={"n_params_non_embedding": (1.9e8, 1.28e9), "n_tokens": (3.8e9, 2.56e11)},
    authors_fit=(
        "sum of Huber losses (delta 1e-3) of log residuals, L-BFGS-B with the analytic gradient, gtol 1e-10; four "
        "sizes (190M to 1.3B) at 1, 2, 5 and 10 times 20 tokens per parameter; the last five checkpoints averaged"
    ),
    evidence="authors' code (allenai/OLMo-ladder)",
)
def task_loss(n_params_non_embedding: Any, n_tokens: Any, *, E: Any, A: Any, B: Any, alpha: Any, beta: Any) -> Any:
    """First step of a model ladder: loss of a task's correct answers, ``E + A/N**alpha + B/D**beta``.

    The form of Hoffmann et al., fitted once per task; N leaves embeddings out. The loss is in bits
    per byte of the answer string, so tasks and tokenizers compare. A task's text is a narrow sample,
    so exponents differ by task and E often ends at zero, which the fit's verdict says. Name the
    variant when you store a fit: the same authors and others also run it on compute alone, with
    corrections for the phase of the learning-rate schedule, and joined with the second step in one.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("task_loss")
    >>> print(f"{law(1e9, 1e11, E=0.5, A=100.0, B=400.0, alpha=0.3, beta=0.3):.4f}")
    0.9000
    """
    return E + A * n_params_non_embedding**-alpha + B * n_tokens**-beta


def _task_accuracy_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    (loss,) = inputs
    rows = [
        [floor - ceiling, -slope, -intercept / slope, ceiling]
        for floor, ceiling, slope, intercept in logistic_starts(loss, y, weights)
        if slope < 0 and intercept > 0 and ceiling - floor <= 1
    ]
    return np.array(rows).reshape(-1, 4)


@law(
    "task_accuracy",
    cite="Bhagia et al., arXiv:2412.04403, step 2",
    inputs=("task_loss",),
    output="task_accuracy",
    params={
        "a": real("minus the height of the sigmoid: floor minus ceiling", low=-1.0, high=0.0, start=(-0.8, -0.4)),
        "k": positive("steepness, per bit per byte", start=(0.5, 20.0)),
        "L0": positive("task loss at the midpoint of the sigmoid", start=(0.3, 6.0)),
        "b": positive("accuracy as the task loss tends to minus infinity", low=0.0, high=1.0, start=(0.8, 1.0)),
    },
    starts=_task_accuracy_starts,
    meanings={
        "task_loss": "loss of the correct answer given the question, bits per byte of the answer",
        "task_accuracy": "accuracy on the task, a fraction",
    },
    authors_fit=(
        "scipy curve_fit (least squares) within a in [-1, 0], L0 >= 0, k >= 0, b in [0, 1] from eight starts, with a "
        "helper point of full accuracy at zero loss; intermediate checkpoints from the second tenth of training on, "
        "the loss smoothed over five of them"
    ),
    evidence="authors' code (allenai/OLMo-ladder, src/fitting/step2.py)",
    aliases={"task_two_step": None},
)
def task_accuracy(task_loss: Any, *, a: Any, k: Any, L0: Any, b: Any) -> Any:
    """Second step of a model ladder: accuracy from the task loss, ``a/(1 + exp(-k*(L - L0))) + b``.

    With ``a < 0 < k`` accuracy falls from b at low loss to ``a + b``, the level of guessing, at high
    loss. The authors add a point of full accuracy at zero loss, without which b is not fixed by
    small models; add it yourself, or the verdict will name b. Compose it with ``task_loss`` for
    the prediction from N and D. Checkpoints of one run are alike: resample runs, not checkpoints.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("task_accuracy")
    >>> print(law(0.8, a=-0.75, k=5.0, L0=0.8, b=1.0))  # halfway between 0.25 and 1
    0.625
    """
    return a / (1 + np.exp(-k * (task_loss - L0))) + b


@law(
    "llama3_nll",
    cite="Llama Team, arXiv:2407.21783, section 3.2.1 (figure 4, left)",
    inputs=("train_flops",),
    output="answer_nll",
    params={
        "slope": real("fall of the likelihood loss per factor of ten in compute", start=(0.02, 0.08)),
        "intercept": real("likelihood loss at one FLOP", start=(2.0, 3.0)),
    },
    meanings={"answer_nll": "negative log-likelihood of the correct answer over its number of characters, nats"},
    domain={"train_flops": (6e18, 1e22)},
    authors_fit="a straight line through the compute-optimal models of each budget, up to 1e22 FLOP",
    evidence_kind="second_hand",
    evidence="two readings of the report's figure 4; the text states a linear correlation with training FLOP",
)
def llama3_nll(train_flops: Any, *, slope: Any, intercept: Any) -> Any:
    """First step of the Llama 3 forecast: likelihood loss of the answer, ``intercept - slope*log10(C)``.

    C belongs to compute-optimal models only; a model trained far past that point lies elsewhere.
    The text says that the loss is linear in FLOP, the figure's axis is logarithmic, and the line is
    straight there. It has no floor and crosses zero: do not follow it much beyond the three
    and a half decades that its authors bridged.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("llama3_nll")
    >>> print(f"{law(1e22, slope=0.03, intercept=2.0):.2f}")
    1.34
    """
    return intercept - slope * np.log10(train_flops)


def _llama3_two_step_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    (flops,) = inputs
    rows = [
        [floor, ceiling, np.exp(-intercept / slope), slope]
        for floor, ceiling, slope, intercept in logistic_starts(np.log(flops), y, weights)
        if slope > 0 and abs(intercept / slope) < 600
    ]
    return np.array(rows).reshape(-1, 4)


@law(
    "llama3_two_step",
    cite="Llama Team, arXiv:2407.21783, section 3.2.1 (figure 4)",
    inputs=("train_flops",),
    output="task_accuracy",
    params={
        "floor": _probability("accuracy of guessing", start=(0.2, 0.3)),
        "ceiling": _probability("accuracy that unlimited compute reaches", start=(0.85, 1.0)),
        "C_mid": positive("compute at half of the rise, FLOP", start=(1e20, 1e23)),
        "slope": positive("steepness in ln C", start=(0.2, 1.5)),
    },
    starts=_llama3_two_step_starts,
    meanings={"task_accuracy": "accuracy on the benchmark, a fraction"},
    domain={"train_flops": (6e18, 1e22)},
    authors_fit=(
        "two steps: likelihood loss on compute from the scaling-law models, accuracy on likelihood loss from these and "
        "the Llama 2 models, floor and ceiling at 0.25 and 1 for ARC-Challenge"
    ),
    evidence_kind="second_hand",
    evidence="two readings of the report's figure 4; the composition of its two steps is derived here",
)
def llama3_two_step(train_flops: Any, *, floor: Any, ceiling: Any, C_mid: Any, slope: Any) -> Any:
    """Accuracy from compute through a likelihood, ``floor + (ceiling - floor)/(1 + (C_mid/C)**slope)``.

    A sigmoid of a loss that is linear in log C is a Hill curve in C, and this is that curve: with
    ``llama3_nll`` and a sigmoid of steepness k, `slope` is ``k`` times the fall of the loss per unit
    of ln C. From scores alone the two steps cannot be told apart; what the detour through the loss
    buys is that its second step may use models outside the scaling study, which fix the ceiling. Of
    scores below the midpoint, `ceiling` and `C_mid` trade off. Fix floor at the chance level.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("llama3_two_step")
    >>> print(law(1e22, floor=0.25, ceiling=1.0, C_mid=1e22, slope=0.5))
    0.625
    """
    return floor + (ceiling - floor) / (1 + (C_mid / train_flops) ** slope)


@law(
    "llama3_tokens",
    cite="Llama Team, arXiv:2407.21783, section 3.2.1 (figure 3)",
    inputs=("train_flops",),
    output="n_tokens",
    params={"A": positive("tokens at one FLOP"), "alpha": exponent("exponent of C", start=(0.3, 0.8))},
    domain={"train_flops": (6e18, 1e22)},
    authors_fit="a power through the minima of second-degree polynomials in log tokens at ten budgets",
    evidence_kind="second_hand",
    evidence="three independent readings of figure 3; the 133 IsoFLOP points give the same values",
)
def llama3_tokens(train_flops: Any, *, A: Any, alpha: Any) -> Any:
    """Compute-optimal training tokens of Llama 3, ``A*C**alpha``.

    The report's text prints 0.29 and 0.53, its figure 0.299 and 0.537. Over 25 decades of FLOP two
    digits are too few: at 3.8e25 FLOP the text gives 10.5 trillion tokens, the figure 16.3, and the
    report itself states 16.55. The curve near the minimum is flat, so a model twice too small loses
    little. The report writes N*(C) for this token count.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("llama3_tokens")
    >>> for A, alpha in ((0.299, 0.537), (0.29, 0.53)):
    ...     print(f"{law(3.8e25, A=A, alpha=alpha):.3g}")
    1.63e+13
    1.05e+13
    """
    return A * train_flops**alpha


# ---- one step: score on size or compute --------------------------------------------------------


def _passuntil_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """The law is a straight line of ln(-ln y) on ln N: lines through the centre, around the best slope."""
    (size,) = inputs
    inside = (y > 0) & (y < 1) & (weights > 0)
    if np.count_nonzero(inside) < 2:
        return np.empty((0, 2))
    x, z = np.log(size[inside]), np.log(-np.log(y[inside]))
    slope, _ = straight_line(x, z, weights[inside])
    alphas = max(-slope, 1e-3) * np.array([0.5, 0.8, 0.95, 1.05, 1.25, 2.0])
    log_c = z.mean() + alphas * x.mean()
    return np.asarray(np.stack([np.exp(log_c), alphas], axis=1)[(log_c < 600) & (alphas < 10)])


@law(
    "passuntil_task",
    cite="Hu et al., arXiv:2310.03262, task scaling law",
    inputs=("n_params",),
    output="pass_rate",
    params={
        "c": positive("minus the log pass rate of a model of one parameter", start=(10.0, 1e4)),
        "alpha": exponent("exponent of N", start=(0.1, 0.8)),
    },
    starts=_passuntil_starts,
    meanings={"pass_rate": "probability that one sample solves the task, a fraction"},
    authors_fit="a straight line through log(-log pass rate) on log N",
    evidence_kind="second_hand",
    evidence="two notes on the paper: growth is classed by the curve of log(-log PU), whose straight line is the law",
)
def passuntil_task(n_params: Any, *, c: Any, alpha: Any) -> Any:
    """Task law of PassUntil, ``exp(-c*N**-alpha)``: minus the log pass rate is a power of the size.

    The pass rate of a small model may be 1e-4 or less, so it is measured by sampling until r
    successes: r over the number of samples is its maximum-likelihood estimate, and a task that is
    never solved is a censored value, not a zero. Models at a common ratio of tokens to parameters
    only. On the scale of ln(-ln y) the law is a straight line; growth that bends below it is what
    the authors call accelerated emergence, and this law will then under-predict large models. For
    another input than parameters give ``inputs={"n_params": "<column>"}`` to the fit.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("passuntil_task")
    >>> print(f"{law(1e9, c=1e3, alpha=0.25):.4f}")
    0.0036
    """
    return np.exp(-c * n_params**-alpha)


def _cod_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given guessing level and ceiling, the law is a straight line of a double logarithm on ln C."""
    (flops,) = inputs
    log_c = np.log(flops)
    floors, ceilings = asymptotes(y[weights > 0], low=0.0, high=1.0)
    rows = []
    for g in floors:
        for ceiling in ceilings:
            if not g < ceiling:
                continue
            share = np.where((y > g) & (y < ceiling), (y - g) / (ceiling - g), np.nan)
            depth = -np.log(share)
            # the derivative of the double logarithm: points near either asymptote say little
            trust = np.nan_to_num(share * depth) ** 2
            slope, intercept = straight_line(log_c, np.log(depth), weights * trust)
            c = -np.log((ceiling - g) / (1 - g)) if g < 1 else np.nan
            if slope < 0 and abs(intercept) < 600 and np.isfinite(c):
                rows.append([g, np.exp(intercept), -slope, max(c, 0.0)])
    return np.array(rows).reshape(-1, 4)


@law(
    "cod_accuracy",
    cite="Xu et al., arXiv:2502.17262, eq. 4",
    inputs=("train_flops",),
    output="task_accuracy",
    params={
        "g": _probability("accuracy of guessing on the cluster", start=(0.1, 0.4)),
        "a": positive("scale of the reducible answer loss", start=(1e3, 1e6)),
        "b": exponent("exponent of C", start=(0.1, 0.3)),
        "c": positive("irreducible answer loss: the ceiling is g + (1 - g)*exp(-c)", start=(0.02, 0.5)),
    },
    starts=_cod_starts,
    meanings={"task_accuracy": "mean pass rate over the tasks of the cluster, a fraction"},
    authors_fit=(
        "one curve per cluster of equally difficult tasks, pass rates of eight models below 70B; clusters with a <= 1, "
        "b <= 0.1 or c outside [0, 1) are set aside, the rest weighted by size"
    ),
    evidence="full text, eq. 4 and section 4.3",
)
def cod_accuracy(train_flops: Any, *, g: Any, a: Any, b: Any, c: Any) -> Any:
    """Accuracy of one difficulty cluster from compute, ``g + (1 - g)*exp(-a*C**-b - c)``.

    The answer's loss is ``a*C**-b + c`` and its exponential is the chance of a right answer beyond
    guessing. The step from the mean of exponentials to the exponential of the mean holds for tasks
    of like difficulty, which is why the authors cluster first; fitted to a whole benchmark the
    curve has no such footing. Without g the authors' extrapolation error on three benchmarks rises
    from about 1 point to 4 to 10, without c to 1.5 to 4. Their figures give compute in units of
    their own: a depends on the unit, b does not. A monotone spline from the predictable clusters to
    the full benchmark completes the method.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("cod_accuracy")
    >>> print(f"{law(1e24, g=0.25, a=1e4, b=0.2, c=0.1):.3f}")
    0.829
    """
    return g + (1 - g) * np.exp(-a * train_flops**-b - c)


# ---- across families ---------------------------------------------------------------------------


def _sigmoid_link_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    (capability,) = inputs
    return logistic_starts(capability, y, weights)


@law(
    "sigmoid_link",
    cite="Ruan et al., arXiv:2405.10938 (floor 0); Polo et al., arXiv:2412.06540 (ceiling 1)",
    inputs=("capability",),
    output="task_accuracy",
    params={
        "floor": _probability("accuracy of guessing", start=(0.1, 0.4)),
        "ceiling": _probability("best accuracy that the labels allow", start=(0.8, 1.0)),
        "slope": real("logits per unit of capability", start=(0.02, 0.5)),
        "intercept": real("logits at capability zero", start=(-8.0, -2.0)),
    },
    starts=_sigmoid_link_starts,
    meanings={
        "capability": "score of a model on a scale common to model families, such as a principal component",
        "task_accuracy": "accuracy on the benchmark, a fraction",
    },
    authors_fit="squared or Huber loss of the accuracy",
    evidence="authors' code (ryoungj/ObsScaling, felipemaiapolo/statistical-scaling-law)",
)
def sigmoid_link(capability: Any, *, floor: Any, ceiling: Any, slope: Any, intercept: Any) -> Any:
    """Accuracy as a sigmoid of a capability score, ``floor + (ceiling - floor)*sigmoid(slope*S + intercept)``.

    Observational laws put the floor at zero and fit the ceiling; skill models put the ceiling at
    one and the floor at the share of the answer options. The score is defined up to shift and
    scale, so slope and intercept mean something only next to the procedure that made it
    (``sdb.downstream``). A fit takes logarithms of its input and refuses negative ones: shift a
    principal component by a constant first, which changes the intercept alone.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("sigmoid_link")
    >>> print(law(2.0, floor=0.25, ceiling=1.0, slope=1.5, intercept=-3.0))
    0.625
    """
    return floor + (ceiling - floor) / (1 + np.exp(-(slope * capability + intercept)))


def _dip_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given slope and middle of the sigmoid and place and width of the dip, the rest is linear."""
    (x,) = inputs
    low, high = float(x.min()), float(x.max())
    span = max(high - low, 1e-9)
    x, y, weights = thinned(x, y, weights)
    # both where the range is and where the rows are: scores crowd at one end of it
    middles = np.unique([*(low + span * np.linspace(0.05, 1.3, 7)), *np.quantile(x, np.linspace(0.05, 0.95, 9))])
    places = np.unique([*(low + span * np.linspace(0.03, 0.97, 9)), *np.quantile(x, np.linspace(0.05, 0.95, 11))])
    slopes, widths = np.geomspace(1.5, 150.0, 9) / span, span * np.geomspace(0.015, 0.4, 8)
    cells = grid(middles, slopes, places, widths)
    at = np.array(cells)
    turned = 1 / (1 + np.exp(-at[:, 1:2] * (x - at[:, :1])))
    dip = -np.exp(-(((x - at[:, 2:3]) / at[:, 3:]) ** 2))
    solved, misfit = least_squares(np.stack([np.ones_like(dip), turned, dip], axis=1), y, weights)
    floor, ceiling = solved[:, 0], solved[:, 0] + solved[:, 1]
    usable = (solved[:, 2] > 0) & (solved[:, 1] > 0)
    rows = np.column_stack(
        [
            *(np.clip(floor, 1e-3, 0.999), np.clip(ceiling, 1e-3, 0.999), at[:, 1], at[:, 0]),
            *(np.maximum(solved[:, 2], 1e-4), at[:, 2], at[:, 3]),
        ]
    )
    place = np.unique(at[:, 2:], axis=0, return_inverse=True)[1].ravel()
    return best_of_each(rows, np.where(usable, misfit, misfit * 4 + 1e-9), place)


@law(
    "dip_and_rise",
    cite="ours: a sigmoid less a dip; compare Wei et al., arXiv:2211.02011, on scores that turn",
    inputs=("capability",),
    output="task_accuracy",
    params={
        "floor": _probability("accuracy far below", start=(0.1, 0.4)),
        "ceiling": _probability("accuracy far above", start=(0.8, 1.0)),
        "slope": positive("logits per unit of capability", start=(0.5, 4.0)),
        "middle": real("capability at which half the way is made", start=(2.0, 6.0)),
        "depth": positive("accuracy that the dip costs at its deepest", start=(0.05, 0.3)),
        "place": real("capability at which it is deepest", start=(1.0, 3.0)),
        "width": positive("its width", start=(0.3, 2.0)),
    },
    starts=_dip_starts,
    meanings={
        "capability": "score of a model on a scale common to model families, or the logarithm of its compute",
        "task_accuracy": "accuracy on the benchmark, a fraction",
    },
    domain={"capability": (0.0, 25.0)},
    authors_fit="none: the authors look at the turn and do not fit it",
    evidence="the shape is described there; the formula is ours",
    evidence_kind="derived",
)
def dip_and_rise(
    capability: Any,
    *,
    floor: Any,
    ceiling: Any,
    slope: Any,
    middle: Any,
    depth: Any,
    place: Any,
    width: Any,
) -> Any:
    """A score that falls before it rises: a sigmoid of the capability, less a dip.

    ``floor + (ceiling - floor)*sigmoid(slope*(S - middle)) - depth*exp(-((S - place)/width)**2)``. Easy questions, and
    tasks with a tempting wrong answer, get worse up to a middle size. Seven parameters want points on both sides of the
    dip; from the falling side alone no fit knows that it will rise.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("dip_and_rise")
    >>> given = dict(floor=0.25, ceiling=0.9, slope=2.0, middle=4.0, depth=0.15, place=2.0, width=1.0)
    >>> law([0.0, 2.0, 6.0], **given).round(3).tolist()
    [0.247, 0.112, 0.888]
    """
    rise = (ceiling - floor) / (1 + np.exp(-slope * (capability - middle)))
    return floor + rise - depth * np.exp(-(((capability - place) / width) ** 2))


def _sloth_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given the floor, the logit is linear in ln N, ln D and their product."""
    log_n, log_d = (np.log(values) for values in inputs)
    design = np.stack([np.ones_like(log_n), log_n, log_d, log_n * log_d], axis=1)
    rows = []
    for floor in asymptotes(y[weights > 0], low=0.0, high=1.0)[0]:
        share = (y - floor) / (1 - floor)
        inside = (weights > 0) & (share > 0) & (share < 1)
        part = share[inside]
        root = np.sqrt(weights[inside]) * part * (1 - part)
        if np.count_nonzero(root) < 4:
            continue
        solution, *_ = np.linalg.lstsq(design[inside] * root[:, None], np.log(part / (1 - part)) * root, rcond=None)
        rows.append([floor, *solution])
    return np.array(rows).reshape(-1, 5)


@law(
    "sloth_score",
    cite="Polo et al., arXiv:2412.06540, with one skill",
    inputs=("n_params", "n_tokens"),
    output="task_accuracy",
    params={
        "floor": _probability("accuracy of guessing, one over the number of options", start=(0.1, 0.4)),
        "intercept": real("skill of the family, in logits", start=(-1.5, -0.5)),
        "w_n": real("logits per unit of ln N", start=(-0.4, -0.2)),
        "w_d": real("logits per unit of ln D", start=(-0.4, -0.2)),
        "w_nd": real("logits per unit of ln N times ln D", start=(0.02, 0.04)),
    },
    starts=_sloth_starts,
    meanings={"task_accuracy": "accuracy on the benchmark, a fraction"},
    authors_fit="smooth L1 loss (beta 0.01) of the accuracy, Adam from several starts; floor fixed at 1/options",
    evidence="authors' code (felipemaiapolo/statistical-scaling-law)",
)
def sloth_score(n_params: Any, n_tokens: Any, *, floor: Any, intercept: Any, w_n: Any, w_d: Any, w_nd: Any) -> Any:
    """Score of one family in a skill model: a sigmoid of a translog in N and D.

    ``floor + (1 - floor)*sigmoid(intercept + w_n*ln N + w_d*ln D + w_nd*ln N*ln D)``: the form of
    Sloth for one benchmark and one family, in which all skills fold into one. In the full model the
    slopes are shared by all families and only the intercept belongs to one; that, and the several
    skills behind many benchmarks, is a procedure (``sdb.downstream``) and not a formula. Five
    numbers for one family are many: fix the floor, and borrow the slopes.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("sloth_score")
    >>> print(f"{law(7e9, 2e12, floor=0.25, intercept=-15.0, w_n=0.3, w_d=0.3, w_nd=0.0):.3f}")
    0.680
    """
    log_n, log_d = np.log(n_params), np.log(n_tokens)
    return floor + (1 - floor) / (1 + np.exp(-(intercept + w_n * log_n + w_d * log_d + w_nd * log_n * log_d)))


# ---- across time -------------------------------------------------------------------------------


@law(
    "densing",
    cite="Xiao et al., arXiv:2412.04315, densing law (section 1.1)",
    inputs=("days",),
    output="capability_density",
    params={
        "A": real("growth of the log density per day", start=(0.002, 0.02)),
        "B": real("log density on day zero", start=(-3.0, -1.0)),
    },
    meanings={
        "days": "days from a fixed date to the release of the model",
        "capability_density": "size of a reference model of equal score over the model's own size",
    },
    authors_fit="least squares of ln density on the release date, over the densest models of their time (29 models)",
    evidence="full text, first two sections; A about 0.007 a day",
)
def densing(days: Any, *, A: Any, B: Any) -> Any:
    """Maximum capability density over time, ``exp(A*t + B)``; it doubles every ``ln(2)/A`` days.

    Density is the size that a reference model needs for the same benchmark score, over the model's
    size; the score is turned into a reference loss through a sigmoid and the loss into a size at one
    trillion tokens. The law is about the record holders, so it depends on which benchmarks, which
    reference and which models are looked at, and a maximum over releases grows with their number
    alone: resample models, not days, for an interval. See :func:`doubling_days`.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("densing")
    >>> print(f"{law(100.0, A=0.007, B=0.0) / law(1.0, A=0.007, B=0.0):.3f}")
    2.000
    """
    return np.exp(A * days + B)


def doubling_days(A: float) -> float:
    """Days in which the density of :data:`densing` doubles, ``ln(2)/A``.

    Parameters
    ----------
    A : float
        Growth of the log density per day; a negative one gives the (negative) time of halving.

    Examples
    --------
    >>> round(doubling_days(0.007) / 30.4, 1)  # the paper prints 3.3 months
    3.3
    """
    return float(np.log(2) / A)
