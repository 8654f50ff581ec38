"""Chapter 1. Laws in one variable: powers, floors, breaks and plateaus.

Exponents are positive: a loss that falls is ``x**-alpha``. Where a paper writes the power in another
way, ``(x / x_0)**-alpha`` or with a negative exponent, the docstring says how the two relate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scalingdb.law_library._core import FloatArray, exponent, law, positive, real
from scalingdb.law_library._starts import best_cells, best_of_each, floor_and_power, floors_below, least_squares

_EXPONENTS = np.geomspace(0.01, 4.0, 60)

_GRID_OF_PORIAN = (
    "least squares of log loss (trust region), starts alpha in {0, .1, .2, .3}, ln E in {-1, -.5 ... 1}, ln A in "
    "{0, 5 ... 25}; the best start by Huber loss, delta 1e-3 (Porian et al., code)"
)


# ---- powers -----------------------------------------------------------------------------------


@law(
    "power",
    cite="definition; used as is in Hestness et al., arXiv:1712.00409, eq. 1",
    inputs=("n_tokens",),
    params={"A": positive("scale: the value at one unit of the input"), "alpha": exponent("slope in log-log")},
    authors_fit="a straight line through the logarithms, by least squares",
    evidence_kind="derived",
    evidence="definition",
)
def power(n_tokens: Any, *, A: Any, alpha: Any) -> Any:
    """Pure power law, ``A * x**-alpha``.

    A straight line in log-log. Fitted to data that level off at a floor it gives an exponent that
    is too small and drifts with the range; compare it with ``power_offset`` before believing it.
    For another input than tokens give ``inputs={"n_tokens": "<column>"}`` to the fit.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('power')(1e4, A=8.0, alpha=0.5):.6f}")
    0.080000
    """
    return A * n_tokens**-alpha


@law(
    "power_offset",
    cite="Hestness et al., arXiv:1712.00409; Henighan et al., arXiv:2010.14701, eq. 1.1",
    inputs=("n_tokens",),
    params={
        "E": positive("floor: the value that no amount of the input gets below"),
        "A": positive("scale of the reducible part at one unit of the input"),
        "alpha": exponent("slope of the reducible part in log-log"),
    },
    authors_fit=_GRID_OF_PORIAN,
    evidence="code of Porian et al. (arXiv:2406.19146)",
    aliases={"data_pruning": None},
)
def power_offset(n_tokens: Any, *, E: Any, A: Any, alpha: Any) -> Any:
    """Power law with a floor, ``E + A * x**-alpha``.

    E and alpha trade off: with less than about 1.5 decades of the input the floor is not
    identified, and the fit's verdict says so. Also written ``(x / x_0)**-alpha`` with
    ``x_0 = A**(1/alpha)``: the same curve, much worse conditioned. For another input than tokens
    give ``inputs={"n_tokens": "<column>"}`` to the fit.

    Data pruning (Sorscher et al., arXiv:2206.14486) is this law once per kept fraction of the data;
    its claim is about the envelope over the fractions, which falls faster than each of them. The
    analytic curve of that paper, a perceptron with a perfect pruning metric, has no closed form.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('power_offset')(1e4, E=1.5, A=8.0, alpha=0.5):.6f}")
    1.580000
    """
    return E + A * n_tokens**-alpha


@law(
    "log_linear",
    cite="Udandarao et al., arXiv:2404.04125 (accuracy against the frequency of a concept in pretraining)",
    inputs=("n_examples",),
    output="score",
    params={
        "a": real("value at one example", start=(0.05, 0.2)),
        "b": real("gain for every e-fold of examples", start=(0.01, 0.1)),
    },
    meanings={"score": "value of the score metric"},
    authors_fit="a straight line of the score against the logarithm",
    evidence="abstract: exponentially more data for a linear gain; so too arXiv:2404.12803",
)
def log_linear(n_examples: Any, *, a: Any, b: Any) -> Any:
    """Straight line against a logarithm, ``a + b * ln x``.

    A description of a middle range: it has neither floor nor ceiling, so a bounded score must
    leave it at both ends. Never extrapolate it; where a score comes near its bounds fit its logit.
    Give ``objective="mse"`` where scores may be zero.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('log_linear')(1e4, a=0.1, b=0.05):.4f}")
    0.5605
    """
    return a + b * np.log(n_examples)


@law(
    "rising_power",
    cite="Li et al., arXiv:2404.02883, section 5 (alignment of text and image)",
    inputs=("x",),
    output="score",
    params={
        "A": positive("score at one unit of the input", start=(0.2, 0.8)),
        "a": exponent("slope in log-log", start=(0.005, 0.3)),
    },
    meanings={
        "x": "the input in the unit that the variant names: compute in GFLOP, millions of pairs of image and noun",
        "score": "value of the score metric",
    },
    authors_fit="the points of the Pareto frontier",
    evidence="section 5 and figure 11, in a machine conversion of the paper",
)
def rising_power(x: Any, *, A: Any, a: Any) -> Any:
    """Score that grows as a power, ``A * x**a``.

    Used for scores with a ceiling, such as the share of questions about an image that are answered
    right: it has no ceiling, so beyond the data it leaves 1, and exponents as small as 0.02 are
    printed to one digit, which leaves the scale of the curve uncertain by a tenth. Compare it with
    ``log_linear``, which is the same over a decade or two.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('rising_power')(1800.0, A=0.64, a=0.03):.3f}")
    0.801
    """
    return A * x**a


# ---- a curve with a beginning and an end --------------------------------------------------------


def _hestness_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """The plateau is the highest loss; the floor and power are those of the rows clearly below it."""
    x, guess = inputs[0], y[weights > 0].max()
    found = []
    for share in (0.999, 0.97, 0.9, 0.75):
        rows = (y < share * guess) & (weights > 0)
        if np.unique(x[rows]).size > 3:
            powers = floor_and_power(x[rows], y[rows], weights[rows], _EXPONENTS)[:16]
            found.append(np.column_stack([np.full(len(powers), guess), powers[:, 1], powers[:, 2], powers[:, 0]]))
    return np.concatenate(found) if found else np.empty((0, 4))


@law(
    "hestness_curve",
    cite="Hestness et al., arXiv:1712.00409, the three regions of a learning curve",
    inputs=("n_examples",),
    params={
        "eps_guess": positive("loss of the best guess, before anything is learned", start=(2.0, 8.0)),
        "alpha": positive("scale of the power region, at one example", start=(10.0, 1.1e3)),
        "beta": exponent("slope of the power region", start=(0.2, 0.8)),
        "gamma": positive("irreducible loss", start=(0.2, 1.0)),
    },
    starts=_hestness_starts,
    authors_fit="the power region alone, by least squares of the logarithms",
    evidence_kind="second_hand",
    evidence="the regions: abstract and an independent reading of the paper",
)
def hestness_curve(n_examples: Any, *, eps_guess: Any, alpha: Any, beta: Any, gamma: Any) -> Any:
    """Learning curve in three regions, ``min(eps_guess, gamma + alpha * m**-beta)``.

    Few examples: no better than the best guess. Then a power law, then a floor. A power fitted
    through the first region gets too flat an exponent, which is why this law exists. The corner is
    sharp here and round in life: a broken law (``bnsl``) describes the corner, this one its place.
    According to the paper the architecture moves the scale and not the exponent.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> sizes = [1e2, 1e4, 1e8]
    >>> sdb.get_law("hestness_curve")(sizes, eps_guess=4.0, alpha=100.0, beta=0.5, gamma=0.3).round(2).tolist()
    [4.0, 1.3, 0.31]
    """
    return np.minimum(eps_guess, gamma + alpha * n_examples**-beta)


def _henighan_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """``(x / x_0)**-alpha`` is ``A * x**-alpha`` with ``x_0 = A**(1/alpha)``."""
    floor, scale, alpha = floor_and_power(inputs[0], y, weights, _EXPONENTS).T
    return np.column_stack([floor, np.exp(np.log(scale) / alpha), alpha])


@law(
    "henighan_ln_lc",
    cite="Henighan et al., arXiv:2010.14701, eq. 1.1 and table 1",
    inputs=("x",),
    params={
        "L_inf": positive("irreducible loss: by the paper's reading the entropy of the data"),
        "x_0": positive("where the reducible loss is one nat", start=(1e-8, 1e15)),
        "alpha": exponent("slope of the reducible loss", start=(0.02, 0.5)),
    },
    starts=_henighan_starts,
    meanings={
        "x": "parameters without embeddings (variants _n), or compute of the best model in petaflop-days, "
        "8.64e19 FLOP (variants _c)"
    },
    authors_fit="a line under the points for compute (the frontier, not the mean)",
    evidence="text of table 1 in a machine conversion: single digits may be wrong",
)
def henighan_ln_lc(x: Any, *, L_inf: Any, x_0: Any, alpha: Any) -> Any:
    """Autoregressive models of any modality, ``L_inf + (x / x_0)**-alpha``, in nats per token.

    One form for language, images, video, mathematics and text-image pairs; ``x`` is size or
    compute, as the variant says. Tokens of different modalities are different units, so losses of
    two variants do not compare. The language rows come from earlier data and have no floor, which
    only says that none was in reach.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("henighan_ln_lc")
    >>> print(f"{law(1.5e9, variant='language_n'):.2f} {law(1e9, variant='image_8x8_n'):.2f}")
    2.24 3.14
    """
    return L_inf + (x / x_0) ** -alpha


def _n_opt_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """A straight line through the logarithms."""
    log_c = np.log(inputs[0] / 8.64e19)
    (line,), _ = least_squares(np.stack([np.ones_like(log_c), log_c])[None], np.log(y), weights)
    return np.array([[np.exp(-line[0] / line[1]), line[1]]])


@law(
    "henighan_n_opt",
    cite="Henighan et al., arXiv:2010.14701, table 1",
    inputs=("train_flops",),
    output="n_params_non_embedding",
    params={
        "C_0": positive("compute in petaflop-days for a model of one parameter", start=(1e-14, 1e-11)),
        "beta": exponent("growth of the best size with compute", start=(0.4, 0.9)),
    },
    starts=_n_opt_starts,
    authors_fit="a line through the frontier of the learning curves",
    evidence="text of table 1 in a machine conversion: single digits may be wrong",
)
def henighan_n_opt(train_flops: Any, *, C_0: Any, beta: Any) -> Any:
    """Best model size of Henighan et al., ``(C / C_0)**beta``; C in FLOP here, C_0 in petaflop-days.

    N leaves embeddings out. All exponents are near 0.7, as in Kaplan et al. and unlike
    Chinchilla's 0.5: the schedules were not matched to the length of training.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> f"{sdb.get_law('henighan_n_opt')(8.64e19):.1e}"  # one petaflop-day, language
    '1.3e+09'
    """
    return (train_flops / (8.64e19 * C_0)) ** beta


def _shifted_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given the shift, it is a power above a floor."""
    x = inputs[0]
    shifts = np.concatenate([[1e-3 * x.min()], np.geomspace(0.03 * x.min(), 30.0 * x.max(), 24)])
    rows = []
    for shift in shifts:
        # beyond the data the shift leaves an exponential, which only a large power bends enough for
        exponents = np.append(_EXPONENTS, np.geomspace(_EXPONENTS[-1], 10.0, 12)[1:])
        powers = floor_and_power(x + shift, y, weights, exponents)[:24:4]
        rows.append(np.column_stack([powers[:, 1], np.full(len(powers), shift), powers[:, 2], powers[:, 0]]))
    return np.concatenate(rows)


@law(
    "shifted_power_floor",
    cite="Nezhurina et al., arXiv:2506.04598",
    inputs=("train_flops",),
    params={
        "A": positive("scale, at one FLOP", start=(1e3, 1e5)),
        "B": positive("shift of compute: where the power law sets in, in FLOP", start=(1e18, 1e20)),
        "alpha": exponent("slope of the reducible error", start=(0.1, 0.5)),
        "E": positive("floor of the error", start=(0.05, 0.4)),
    },
    starts=_shifted_starts,
    meanings={"loss": "zero-shot error, 1 minus accuracy"},
    authors_fit=(
        "points of the Pareto front only; least squares with bounds on signs, or L-BFGS-B with a Huber loss, delta "
        "1e-3, best of a grid of starts; 100 bootstraps of the front"
    ),
    evidence="the authors' code (functions.py, fitting_utils.py)",
)
def shifted_power_floor(train_flops: Any, *, A: Any, B: Any, alpha: Any, E: Any) -> Any:
    """Error of a vision-language model against compute, ``E + A * (C + B)**-alpha``.

    The shift B bends the curve at small compute, the floor E at large. Fit the Pareto front of
    models, and for intervals resample models and take the front again: resampling the front's own
    points makes them too narrow. Repeated samples break the law (the authors predict 82.0 % for
    their largest model and measure 80.3 %). The authors count C in GFLOP; B has the unit of C.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('shifted_power_floor')(1e21, A=5e3, B=1e19, alpha=0.2, E=0.1):.3f}")
    0.415
    """
    return E + A * (train_flops + B) ** -alpha


# ---- Alabdulmohsin's four estimators ------------------------------------------------------------

_M_FIT = (
    "least squares of log excess error, alternating: scale and slope by linear regression, the limits by gradient "
    "and then Newton steps; estimators are ranked by their error beyond the fitted range"
)


@law(
    "m1",
    cite="Alabdulmohsin et al., arXiv:2209.06640, estimator M1",
    inputs=("n_examples",),
    params={"beta": positive("scale, at one example"), "c": exponent("slope in log-log")},
    authors_fit=_M_FIT,
    evidence="the authors' code (methods/m1.py)",
)
def m1(n_examples: Any, *, beta: Any, c: Any) -> Any:
    """Estimator M1: a pure power, ``beta * x**-c``. The first of four nested forms.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('m1')(1e4, beta=8.0, c=0.5):.6f}")
    0.080000
    """
    return beta * n_examples**-c


@law(
    "m2",
    cite="Alabdulmohsin et al., arXiv:2209.06640, estimator M2",
    inputs=("n_examples",),
    params={
        "eps_inf": positive("error in the limit of unlimited data"),
        "beta": positive("scale of the excess error, at one example"),
        "c": exponent("slope of the excess error"),
    },
    authors_fit=_M_FIT,
    evidence="the authors' code (methods/m2.py)",
)
def m2(n_examples: Any, *, eps_inf: Any, beta: Any, c: Any) -> Any:
    """Estimator M2: a power above a floor, ``eps_inf + beta * x**-c`` (``power_offset`` in other letters).

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('m2')(1e4, eps_inf=0.1, beta=8.0, c=0.5):.6f}")
    0.180000
    """
    return eps_inf + beta * n_examples**-c


def _m3_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given gamma it is a straight line in logarithms."""
    x = inputs[0]
    gammas = np.concatenate([[1e-4 / x.max()], np.geomspace(1e-2 / x.max(), 10 / x.min(), 60)])
    log_z = np.log(1 / x + gammas[:, None])
    solved, misfit = least_squares(np.stack([np.ones_like(log_z), log_z], axis=1), np.log(y), weights)
    rows = np.column_stack([np.exp(solved[:, 0]), gammas, solved[:, 1]])
    misfit[solved[:, 1] <= 0] = np.inf
    return best_cells(rows, misfit)


@law(
    "m3",
    cite="Alabdulmohsin et al., arXiv:2209.06640, estimator M3",
    inputs=("n_examples",),
    params={
        "beta": positive("scale, at one example"),
        "gamma": positive("1 / examples: beyond 1/gamma more data change nothing", start=(1e-6, 1e-4)),
        "c": exponent("slope before saturation", start=(0.2, 0.8)),
    },
    starts=_m3_starts,
    authors_fit=_M_FIT + "; gamma among the values that make one point exact",
    evidence="the authors' code (methods/m3.py), which has no floor besides the saturation",
)
def m3(n_examples: Any, *, beta: Any, gamma: Any, c: Any) -> Any:
    """Estimator M3: a power that saturates, ``beta * (1/x + gamma)**c``; with ``gamma = 0`` it is M1.

    The limit is ``beta * gamma**c``, and the approach to it is of first order in 1/x whatever c is,
    unlike M2.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("m3")
    >>> print(f"{law(1e12, beta=8.0, gamma=1e-4, c=0.5):.4f} {law(1e12, beta=8.0, gamma=0.0, c=0.5):.6f}")
    0.0800 0.000008
    """
    return beta * (1 / n_examples + gamma) ** c


def _m4_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given both limits, the logarithm of the equation is linear in ln beta, c and alpha."""
    log_x, used = np.log(inputs[0]), y[weights > 0]
    rows, misfits = [], []
    for floor in floors_below(y, weights):
        for chance in used.max() * np.array([1.0001, 1.001, 1.01, 1.03, 1.1, 1.3, 2.0, 4.0]):
            columns = np.stack([np.ones_like(log_x), -log_x, np.log(chance - np.minimum(y, used.max()))])
            relative = weights * ((y - floor) / y) ** 2
            solved, misfit = least_squares(columns[None], np.log(y - floor), relative)
            log_beta, c, alpha = solved[0]
            rows.append([floor, chance, np.exp(np.clip(log_beta, -600, 600)), c, max(alpha, 1e-3)])
            misfits.append(misfit[0] if c > 0 else np.inf)
    return best_cells(np.array(rows), np.array(misfits), 32)


@law(
    "m4",
    cite="Alabdulmohsin et al., arXiv:2209.06640, estimator M4",
    inputs=("n_examples",),
    params={
        "eps_inf": positive("error in the limit of unlimited data", start=(0.02, 0.2)),
        "eps_0": positive("error of guessing", start=(0.8, 1.2)),
        "beta": positive("scale, at one example", start=(10.0, 1e3)),
        "c": exponent("slope of the excess error", start=(0.3, 0.8)),
        "alpha": exponent("how long the curve stays at the error of guessing; 0 is M2", start=(0.2, 2.0)),
    },
    starts=_m4_starts,
    authors_fit=_M_FIT,
    evidence="the authors' code (methods/m4.py)",
    aliases={"m1_m4": None},
)
def m4(n_examples: Any, *, eps_inf: Any, eps_0: Any, beta: Any, c: Any, alpha: Any) -> Any:
    """Estimator M4: from guessing to the limit, ``(eps - eps_inf) / (eps_0 - eps)**alpha = beta * x**-c``.

    A sigmoid in log-log, for curves that begin near chance. The error is the root of the equation
    between eps_inf and eps_0; the left side rises with it, so there is one. As alpha goes to 0 the
    law becomes M2, cut off at eps_0. It is solved by Newton steps, so it has no closed form and no SQL
    macro, and its derivatives are numerical. The authors choose among M1 to M4 by the error
    on points beyond the fitted range, which matters more than the forms.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law, chosen = sdb.get_law("m4"), {"eps_inf": 0.1, "eps_0": 1.0, "beta": 50.0, "c": 0.5, "alpha": 1.0}
    >>> law([1.0, 2.5e3, 1e9], **chosen).round(3).tolist()
    [0.982, 0.55, 0.101]
    """
    x, eps_inf, eps_0, beta, c, alpha = np.broadcast_arrays(
        *(np.asarray(value, dtype=float) for value in (n_examples, eps_inf, eps_0, beta, c, alpha))
    )
    # with eps = eps_inf + span / (1 + exp(-z)) the logarithm of the equation rises with z and bends one
    # way only, so that Newton steps converge from any start; each end of it is a straight line
    span = eps_0 - eps_inf
    with np.errstate(all="ignore"):
        level = (1 - alpha) * np.log(span) - np.log(beta) + c * np.log(x)
        z = np.where(level > 0, -level, np.clip(-level / np.maximum(alpha, 1e-300), 0, 700))
        for _ in range(12):
            miss = level - np.logaddexp(0, -z) + alpha * np.logaddexp(0, z)
            z = np.clip(z - miss / (1 / (1 + np.exp(z)) + alpha / (1 + np.exp(-z))), -700, 700)
        return eps_inf + span / (1 + np.exp(-z))


# ---- broken laws ----------------------------------------------------------------------------------


def _broken_starts(breaks: int, inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given floor, places and sharpness of the breaks, the logarithm of the excess is linear in the rest."""
    log_x = np.log(inputs[0])
    low, high = log_x[weights > 0].min(), log_x[weights > 0].max()
    places = low + (high - low) * np.linspace(0.04, 0.96, 24 if breaks == 1 else 20)
    sharpness = np.geomspace(0.02, 2.0, 10 if breaks == 1 else 5)
    if breaks == 1:
        cells = np.array([(d, f) for d in places for f in sharpness])
    else:
        cells = np.array(
            [
                (d1, d2, f1, f2)
                for i, d1 in enumerate(places)
                for d2 in places[i + 1 :]
                for f1 in sharpness
                for f2 in sharpness
            ]
        )
    d, f = cells[:, :breaks], cells[:, breaks:]
    bends = [-f[:, i, None] * np.logaddexp(0, (log_x - d[:, i, None]) / f[:, i, None]) for i in range(breaks)]
    line = np.broadcast_to(log_x, bends[0].shape)
    columns = np.stack([np.ones_like(line), -line, *bends], axis=1)
    rows, misfits = [], []
    for floor in floors_below(y, weights):
        solved, misfit = least_squares(columns, np.log(y - floor), weights * ((y - floor) / y) ** 2)
        scale = np.exp(np.clip(solved[:, 0], -600, 600))
        steps = [part for i in range(breaks) for part in (solved[:, 2 + i], np.exp(d[:, i]), f[:, i])]
        rows.append(np.column_stack([np.full(len(d), floor), scale, solved[:, 1], *steps]))
        misfits.append(misfit)
    place = np.unique(d, axis=0, return_inverse=True)[1].ravel()
    return best_of_each(np.concatenate(rows), np.concatenate(misfits), np.tile(place, len(rows)), 192)


def _one_break_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    return _broken_starts(1, inputs, y, weights)


def _two_break_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    return _broken_starts(2, inputs, y, weights)


def _break(x: Any, place: Any, width: Any, bend: Any) -> Any:
    """``(1 + (x/place)**(1/width))**(-bend*width)``, its leading power taken out behind the break.

    So written nothing overflows at a sharp break, neither the value nor the derivatives of a fit.
    """
    distance = np.log(x / place)
    corner = np.exp(-bend * np.where(x > place, distance, 0.0))
    return corner * (1 + np.exp(np.where(x > place, -distance, distance) / width)) ** (-bend * width)


_slope = real("slope in log-log before the first break; positive falls", low=-5.0, high=5.0, start=(0.05, 1.0))
_bend = real("change of the slope at the break; any sign", low=-15.0, high=15.0, start=(0.1, 2.0))
_place = positive("where the break is", start=(1e4, 1e6))
_width = positive("width of the break in e-folds; small is sharp", start=(0.05, 1.0))

_BNSL_FIT = (
    "mean squared difference of log(y + 1); brute-force grid over all parameters, then curve_fit from its best cell"
)


@law(
    "bnsl",
    cite="Caballero et al., arXiv:2210.14891, eq. 1 with one break",
    inputs=("n_examples",),
    params={
        "a": positive("floor", start=(0.1, 1.0)),
        "b": positive("scale", start=(1.0, 100.0)),
        "c0": _slope,
        "c1": _bend,
        "d1": _place,
        "f1": _width,
    },
    starts=_one_break_starts,
    domain={"n_examples": (160, 928)},
    authors_fit=_BNSL_FIT,
    evidence="the authors' code, whose one-break form is exactly this",
)
def bnsl(n_examples: Any, *, a: Any, b: Any, c0: Any, c1: Any, d1: Any, f1: Any) -> Any:
    """Broken neural scaling law with one break, ``a + b * x**-c0 * (1 + (x/d1)**(1/f1))**(-c1*f1)``.

    Before the break the slope in log-log is -c0, after it -(c0 + c1); f1 is the width of the turn.
    A fall followed by a rise needs ``c0 + c1 < 0``. What lies behind a break that the data do not
    contain cannot be known: the authors say that extrapolation fails then, so do not extrapolate
    beyond the last break that you can see. Width and change of slope trade off when the turn is not
    sampled. For another input than examples give ``inputs={"n_examples": "<column>"}`` to the fit.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> sdb.get_law("bnsl")([160.0, 612.6, 928.0]).round(3).tolist()
    [2.136, 1.681, 0.563]
    """
    return a + b * n_examples**-c0 * _break(n_examples, d1, f1, c1)


@law(
    "bnsl_two_breaks",
    cite="Caballero et al., arXiv:2210.14891, eq. 1 with two breaks",
    inputs=("n_examples",),
    params={
        "a": positive("floor", start=(0.1, 1.0)),
        "b": positive("scale", start=(1.0, 100.0)),
        "c0": _slope,
        "c1": _bend("change of the slope at the first break"),
        "d1": _place("where the first break is", start=(5e3, 5e4)),
        "f1": _width("width of the first break", start=(0.1, 1.0)),
        "c2": _bend("change of the slope at the second break", start=(-0.8, -0.2)),
        "d2": _place("where the second break is", start=(2e5, 2e6)),
        "f2": _width("width of the second break", start=(0.1, 1.0)),
    },
    starts=_two_break_starts,
    authors_fit=_BNSL_FIT,
    evidence="the authors' code for one break; the product over breaks in the paper's equation",
)
def bnsl_two_breaks(
    n_examples: Any, *, a: Any, b: Any, c0: Any, c1: Any, d1: Any, f1: Any, c2: Any, d2: Any, f2: Any
) -> Any:
    """Broken neural scaling law with two breaks: ``bnsl`` times ``(1 + (x/d2)**(1/f2))**(-c2*f2)``.

    Nine parameters want some thirty points, several of them inside each turn. The two breaks are
    interchangeable: order them by place when you compare fits. With ``c2 = 0`` it is ``bnsl``.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> shape = {"a": 0.1, "b": 9.0, "c0": 0.1, "c1": 0.6, "d1": 1e4, "f1": 0.3, "c2": -0.5, "d2": 1e6, "f2": 0.3}
    >>> sdb.get_law("bnsl_two_breaks")([1e3, 1e5, 1e7], **shape).round(3).tolist()
    [4.61, 0.815, 0.19]
    """
    return a + b * n_examples**-c0 * _break(n_examples, d1, f1, c1) * _break(n_examples, d2, f2, c2)


# ---- theory ------------------------------------------------------------------------------------


@law(
    "bahri_regime",
    cite="Bahri et al., arXiv:2102.06701, resolution-limited regime",
    inputs=("n_examples",),
    params={
        "L_inf": positive("loss in the limit"),
        "A": positive("scale, at one example"),
        "d": positive("dimension of the data manifold", start=(2.0, 60.0)),
    },
    evidence_kind="derived",
    evidence=(
        "abstract for the four regimes; exponent 4/d for squared error and cross-entropy from the abstract of Sharma "
        "and Kaplan (arXiv:2004.10802) and an independent derivation"
    ),
)
def bahri_regime(n_examples: Any, *, L_inf: Any, A: Any, d: Any) -> Any:
    """Resolution-limited scaling, ``L_inf + A * x**(-4/d)``: the model resolves a d-dimensional manifold.

    One of two mechanisms that the theory knows; the other is ``bahri_variance``, whose exponent is
    exactly 1. The same forms hold in data and in width, four regimes in all. Fit both to the same
    rows: an exponent well below 1 is resolution-limited, and d then is a dimension to compare with a
    measured one. 4/d is the theory's value for smooth targets, rough ones give less.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('bahri_regime')(1e6, L_inf=0.0, A=1.0, d=12.0):.6f}")
    0.010000
    """
    return L_inf + A * n_examples ** (-4 / d)


@law(
    "bahri_variance",
    cite="Bahri et al., arXiv:2102.06701, variance-limited regime",
    inputs=("n_examples",),
    params={"L_inf": positive("loss in the limit"), "A": positive("scale, at one example")},
    evidence="abstract: the exponent follows from the existence of a smooth limit of unlimited data or width",
)
def bahri_variance(n_examples: Any, *, L_inf: Any, A: Any) -> Any:
    """Variance-limited scaling, ``L_inf + A / x``: noise of a finite sample (or width) around a smooth limit.

    Holds where the other variable is the bottleneck, for example data far beyond what a model of
    fixed size can use. For width give ``inputs={"n_examples": "d_model"}``.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('bahri_variance')(100.0, L_inf=1.0, A=20.0):.1f}")
    1.2
    """
    return L_inf + A / n_examples


@law(
    "width_inverse",
    cite="Liu et al., arXiv:2505.10465",
    inputs=("d_model",),
    params={
        "L_0": positive("loss in the limit of width"),
        "c": positive("scale, at width one"),
        "alpha_m": exponent("exponent of width; near 1 in strong superposition"),
    },
    authors_fit="a line through the logarithms of the excess loss",
    evidence_kind="second_hand",
    evidence="abstract; an independent reading quotes 0.91 +- 0.04 over four open model families (figure 6b)",
)
def width_inverse(d_model: Any, *, L_0: Any, c: Any, alpha_m: Any) -> Any:
    """Loss against width, ``L_0 + c * m**-alpha_m``.

    If models hold many more features than dimensions, their interference gives an exponent near 1
    whatever the frequencies of the features; if they do not, the exponent is that of the
    frequencies. N grows as the second to third power of width, so 1 here is 1/3 to 1/2 in N.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('width_inverse')(1000.0, L_0=2.0, c=300.0, alpha_m=1.0):.3f}")
    2.300
    """
    return L_0 + c * d_model**-alpha_m


@law(
    "intrinsic_dim",
    cite="Konz and Mazurowski, arXiv:2401.08865, law in the dimension of the data",
    inputs=("n_examples", "intrinsic_dim", "label_sharpness"),
    params={"K": positive("factor that theory leaves open")},
    meanings={
        "intrinsic_dim": "intrinsic dimension of the training images (maximum likelihood or two-nearest-neighbours)",
        "label_sharpness": "Lipschitz constant of the labelling function on the training images, K_F",
        "loss": "test loss of the trained classifier",
    },
    evidence_kind="second_hand",
    evidence="an independent reading quotes the law, K_F * N**(-1/d); the abstract names its variables",
)
def intrinsic_dim(n_examples: Any, intrinsic_dim: Any, label_sharpness: Any, *, K: Any) -> Any:
    """Generalisation of image classifiers, ``K * K_F * n**(-1/d)``.

    A bound of theory used as a law: it says how the test loss should compare between data sets of
    known dimension d and label sharpness K_F, and why radiology, where similar images differ in
    label, is steeper. Only the factor is free. Estimates of d depend on the estimator; keep to one.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('intrinsic_dim')(1e4, 20.0, 0.5, K=1.0):.3f}")
    0.315
    """
    return K * label_sharpness * n_examples ** (-1 / intrinsic_dim)


@law(
    "normalised_power",
    cite="Hu, Lin et al., arXiv:2410.18647",
    inputs=("n_environments",),
    output="score_gap",
    params={
        "A": positive("gap with one environment", start=(0.3, 1.0)),
        "alpha": exponent("fall of the gap with environments"),
    },
    meanings={
        "n_environments": "training environments, objects, or pairs of both",
        "score_gap": "1 minus the normalised score of the policy",
    },
    authors_fit="a line through the logarithms",
    evidence="abstract: power laws in environments and objects, not in demonstrations",
)
def normalised_power(n_environments: Any, *, A: Any, alpha: Any) -> Any:
    """Imitation learning of robots, ``1 - s = A * x**-alpha``, s the normalised score.

    Holds in the number of environments, objects, or pairs; more demonstrations of the same pair
    help up to a threshold only. A policy with the full score has no logarithm: leave such points
    out knowingly, or fit with ``objective="mse"``.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('normalised_power')(16.0, A=0.8, alpha=0.5):.6f}")
    0.200000
    """
    return A * n_environments**-alpha


@law(
    "grokking_samples",
    cite="Tian, arXiv:2509.21519, theorem 4, at an order of the group far above one over the chance of failure",
    inputs=("group_order", "irrep_dimension"),
    output="n_examples",
    params={"c": positive("constant that the theorem leaves open", start=(0.5, 5.0))},
    meanings={
        "group_order": "number M of elements of the group whose multiplication is learned: the modulus",
        "irrep_dimension": "dimension of the irreducible representation that is learned: 1 for modular addition",
        "n_examples": "pairs of the table of M**2 that are trained on",
    },
    domain={"group_order": (2.0, 1e9), "irrep_dimension": (1.0, 1e4)},
    authors_fit="none: the dotted line of figure 5 is the rate",
    evidence="section 4.5, theorem 4 and figure 5",
)
def grokking_samples(group_order: Any, irrep_dimension: Any, *, c: Any) -> Any:
    """Training pairs that a two-layer network needs to generalise on a group, ``c * d**2 * M * ln M``.

    With fewer, the landscape loses the maxima that belong to features, and training ends in
    memorising. The share of the whole table falls as ``ln M / M``. A bound for the square as
    activation: c is not in the paper, and what is measured depends on how long one trains.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('grokking_samples')(71, 1, c=1.0) / 71**2:.2f}")
    0.06
    """
    return c * irrep_dimension**2 * group_order * np.log(group_order)
