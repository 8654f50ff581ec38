"""Chapter 4. When data are scarce: repetition, fixed data, mixtures and filtering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scalingdb.law_library._core import FloatArray, exponent, law, positive, real
from scalingdb.law_library._starts import (
    best_cells,
    best_of_each,
    floor_and_power,
    floors_below,
    least_squares,
    sampled,
)

_EXPONENTS = np.geomspace(0.02, 4.0, 60)


# ---- repetition ---------------------------------------------------------------------------------


def _worth(amount: Any, useful: Any, constant: Any) -> Any:
    """What an amount is worth if only `useful` of it counts in full, and the rest decays with the constant."""
    excess = useful * (1 + constant * (1 - np.exp((1 - amount / useful) / constant)))
    return np.where(amount <= useful, amount, excess)


def _repeat_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given exponents, the optimal ratio G and both constants, the loss is linear in E and B.

    G ties A to B: ``A = B * (beta / alpha) * G**(alpha + beta)``.
    """
    (n, d, u), y, weights = sampled(inputs, y, weights)
    rows, misfits = [], []
    for alpha in (0.15, 0.25, 0.35, 0.5, 0.7, 1.2, 2.5):
        for beta in (0.15, 0.25, 0.35, 0.5, 0.7, 1.2):
            for ratio in np.geomspace(1.0, 300.0, 7):  # tokens per parameter at the geometric mean of U
                size_of_u = u * np.exp((beta / alpha - 1) * (np.log(u) - np.log(u).mean())) / ratio
                log_g = (np.log(size_of_u) - beta / alpha * np.log(u))[0] / (1 + beta / alpha)
                scale = beta / alpha * np.exp(log_g * (alpha + beta))
                cells = [(rd, rn) for rd in (2.0, 6.0, 15.0, 40.0) for rn in (1.0, 3.0, 8.0, 25.0, 1e3)]
                reducible = np.array(
                    [scale * _worth(n, size_of_u, rn) ** -alpha + _worth(d, u, rd) ** -beta for rd, rn in cells]
                )
                size = reducible.mean(1, keepdims=True)
                columns = np.stack([np.ones_like(reducible), reducible / size], axis=1)
                solved, misfit = least_squares(columns, y, weights / y**2)
                misfit[(solved <= 0).any(1)] = np.inf
                b = solved[:, 1] / size[:, 0]
                fixed = np.broadcast_to([alpha, beta], (len(cells), 2))
                rows.append(np.column_stack([solved[:, 0], scale * b, b, fixed, cells]))
                misfits.append(misfit)
    found, total = np.concatenate(rows), np.concatenate(misfits)
    # the exponents are where basins differ
    place = np.unique(found[:, 3:5], axis=0, return_inverse=True)[1]
    return np.concatenate([best_cells(found, total, 96), best_of_each(found, total, place, 32)])


@law(
    "muennighoff_repeat",
    cite="Muennighoff et al., arXiv:2305.16264, eqs. 16 to 20",
    inputs=("n_params", "n_tokens", "n_tokens_unique"),
    params={
        "E": positive("irreducible loss of the fit"),
        "A": positive("scale of the term in N"),
        "B": positive("scale of the term in D"),
        "alpha": exponent("exponent of N", low=1e-2, start=(0.2, 0.6)),
        "beta": exponent("exponent of D", low=1e-2, start=(0.2, 0.6)),
        "rd": positive("repeats after which repeated tokens have lost most of their worth, R_D*", start=(2.0, 40.0)),
        "rn": positive("the same for parameters beyond the optimal size for the unique tokens, R_N*", start=(1, 25)),
    },
    starts=_repeat_starts,
    domain={"n_params": (7e6, 8.7e9), "n_tokens": (1e8, 9e11), "n_tokens_unique": (1e8, 1.78e11)},
    authors_fit=(
        "the five constants first, on runs of one epoch (Huber loss of log residuals, delta 1e-3, exponents tied); "
        "then rd and rn on 182 runs with these held"
    ),
    evidence="the authors' notebook return_alloc.ipynb and an independent implementation",
)
def muennighoff_repeat(
    n_params: Any,
    n_tokens: Any,
    n_tokens_unique: Any,
    *,
    E: Any,
    A: Any,
    B: Any,
    alpha: Any,
    beta: Any,
    rd: Any,
    rn: Any,
) -> Any:
    """Data-constrained law: Chinchilla's with what repeated tokens and excess parameters are worth.

    ``E + A / N'**alpha + B / D'**beta``: of D tokens U are unique, and the others are worth
    ``U*rd*(1 - exp(-(D/U - 1)/rd))``; of N parameters as many as are optimal for U count fully, the
    others in the same way with rn. The first four epochs are nearly as good as new data, and no
    number of epochs is worth more than ``1 + rd`` times U (16 with the published set). Give U no larger
    than D, as the paper does: data that a run has not seen do not count. The law cannot rise: runs
    that overfit, with hundreds of epochs, are beyond the form. The published constants come in two
    steps, from rows that are not all released, and predict too low a loss for every run of one epoch
    that is; all seven fitted at once go elsewhere and bring the objective to a third.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("muennighoff_repeat")
    >>> print(f"{law(1e9, 2.5e10, 2.5e10):.3f} {law(1e9, 1e11, 2.5e10):.3f} {law(1e9, 1e11, 1e11):.3f}")
    2.538 2.420 2.415
    """
    ratio = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    optimal_size = ratio * (n_tokens_unique * ratio) ** (beta / alpha)
    parameters = _worth(n_params, optimal_size, rn)
    return E + A * parameters**-alpha + B * _worth(n_tokens, n_tokens_unique, rd) ** -beta


# ---- fixed data, unlimited compute --------------------------------------------------------------


@law(
    "infinite_compute_n",
    cite="Kim et al., arXiv:2509.14786, figure 3",
    inputs=("n_params",),
    params={
        "E": positive("loss of an unlimited model on these data"),
        "A": positive("excess loss at a billion parameters", start=(0.01, 1.0)),
        "alpha": exponent("fall of the excess with N", start=(0.5, 2.0)),
    },
    domain={"n_params": (1.5e8, 1.4e9)},
    authors_fit="three parameters from four sizes, weight decay tuned at each",
    evidence_kind="second_hand",
    evidence="several independent readings of the figure, one of them of the paper's HTML",
)
def infinite_compute_n(n_params: Any, *, E: Any, A: Any, alpha: Any) -> Any:
    """Loss on fixed data against model size with tuned regularisation, ``E + A * (N / 1e9)**-alpha``.

    With some thirty times the usual weight decay more parameters keep helping although the data
    are the same, and E is what these data can give to one model. Four sizes carry three parameters:
    seeds move the loss by 0.02, about the uncertainty of E. It holds for 2e8 tokens.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('infinite_compute_n')(3e8):.2f}")
    3.60
    """
    return E + A * (n_params / 1e9) ** -alpha


@law(
    "infinite_compute_k",
    cite="Kim et al., arXiv:2509.14786, figure 4",
    inputs=("n_members",),
    params={
        "E": positive("loss of an unlimited ensemble on these data"),
        "A": positive("gain from one member to unlimited ones", start=(0.05, 1.0)),
        "alpha": exponent("fall of the excess with the members", start=(0.5, 2.0)),
    },
    meanings={"n_members": "independently trained models whose predictions are averaged"},
    authors_fit="three parameters from about five ensemble sizes",
    evidence_kind="second_hand",
    evidence="several independent readings for the form and its limits",
)
def infinite_compute_k(n_members: Any, *, E: Any, A: Any, alpha: Any) -> Any:
    """Loss on fixed data against the members of an ensemble, ``E + A * K**-alpha``.

    Fit it at every size of the members, then the limits E against that size with
    ``infinite_compute_n``: the nested limit is the paper's estimate of what the data hold. Errors
    of the first fits belong into the second.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('infinite_compute_k')(5.0, E=3.3, A=0.25, alpha=1.0):.2f}")
    3.35
    """
    return E + A * n_members**-alpha


# ---- filtering ----------------------------------------------------------------------------------

N_EPOCHS_SUMMED = 10
"""Epochs that `qqt_filter` tells apart: its product has to end somewhere to be a formula."""


def _decayed_growth(n_epochs: Any, tau: Any) -> Any:
    """Logarithm of ``prod (n_k / n_{k-1})**(0.5**((k-1)/tau))`` over epochs after the first, the last in part."""
    total = 0.0
    for k in range(2, N_EPOCHS_SUMMED + 1):
        begun, done = np.log(n_epochs / (k - 1)), np.log(n_epochs / k)
        total = total + 0.5 ** ((k - 1) / tau) * (np.maximum(begun, 0.0) - np.maximum(done, 0.0))
    return total


def _filter_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given floor, half-life and ``b``, the logarithm of the excess has one free constant."""
    first = np.log(inputs[0] / np.maximum(inputs[1], 1.0) / 1e5)
    rows, misfits = [], []
    for floor in floors_below(y, weights):
        relative = weights * ((y - floor) / y) ** 2
        for tau in np.geomspace(0.3, 30.0, 12):
            line = first + _decayed_growth(inputs[1], tau)
            solved, misfit = least_squares(np.stack([np.ones_like(line), -line])[None], np.log(y - floor), relative)
            constant, b = solved[0]
            rows.append([np.exp(np.clip(-constant / b, -600, 600)) if b > 0 else 0.0, b, tau, floor])
            misfits.append(misfit[0] if b > 0 else np.inf)
    return best_cells(np.array(rows), np.array(misfits))


@law(
    "qqt_filter",
    cite="Goyal et al., arXiv:2404.07177",
    inputs=("n_examples", "n_epochs"),
    params={
        "a": positive("utility of a sample, per 100,000 samples", start=(1e-3, 1.0)),
        "b": real("power of the samples in the first epoch", low=1e-4, high=10.0, start=(0.05, 0.5)),
        "tau": positive("half-life of the utility, in epochs", start=(1.0, 10.0)),
        "d": positive("error that remains", start=(0.05, 0.2)),
    },
    starts=_filter_starts,
    meanings={"loss": "zero-shot error, 1 minus accuracy"},
    domain={"n_epochs": (1, 10)},
    authors_fit=(
        "exhaustive grid, a up to 0.02 or 0.2, b from 0.005 to 0.5, tau from 1 to 10, d held at 0.1; squared error; a "
        "shared by all pools"
    ),
    evidence="the authors' code (objective.py, estimate_best_pool.py)",
)
def qqt_filter(n_examples: Any, n_epochs: Any, *, a: Any, b: Any, tau: Any, d: Any) -> Any:
    """Error after n samples in some epochs over a pool: the utility of a sample halves every tau epochs.

    ``d + (a*n_1)**-b * prod (n_k / n_{k-1})**(-b_k)`` with ``b_k = b * 0.5**((k-1)/tau)``, n_k the
    samples seen after epoch k (in units of 100,000), the last epoch possibly in part. Scarce good
    data wear out, so the best share to keep grows with compute. In a mixture of p pools b_k is the
    mean over pools, each with p times its tau. The authors' code multiplies d by the later epochs
    as well; here d stays outside, as a limit has to. Epochs beyond the tenth add nothing
    in this form, so keep to ten.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law, pool = sdb.get_law("qqt_filter"), {"a": 0.02, "b": 0.2, "tau": 2.0, "d": 0.1}
    >>> law([1e8, 1e8], [1.0, 10.0], **pool).round(3).tolist()  # unique samples, and a tenth ten times
    [0.649, 0.823]
    """
    log_first = np.log(a * n_examples / np.maximum(n_epochs, 1.0) / 1e5)
    return d + np.exp(-b * (log_first + _decayed_growth(n_epochs, tau)))


# ---- mixtures -----------------------------------------------------------------------------------


def _one_share_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given t it is linear in c and k."""
    t = np.concatenate([-np.geomspace(0.05, 50.0, 40), np.geomspace(0.05, 10.0, 20)])
    basis = np.exp(t[:, None] * (inputs[0] - inputs[0].mean()))
    both, misfit = least_squares(np.stack([np.ones_like(basis), basis], axis=1), y, weights / y**2)
    alone, misfit_alone = least_squares(basis[:, None, :], y, weights / y**2)
    shift = np.exp(-t * inputs[0].mean())
    misfit[(both <= 0).any(1)] = np.inf
    rows = [
        np.column_stack([both[:, 0], both[:, 1] * shift, t]),
        np.column_stack([np.zeros_like(t), alone[:, 0] * shift, t]),
    ]
    return best_cells(np.concatenate(rows), np.concatenate([misfit, misfit_alone]))


_MIXTURE_EVIDENCE = "four independent readings, one with an excerpt of eq. 1"
_MIXTURE_FIT = "one fit for every validation domain, at fixed size and steps"
_SHARE = (0.0, 1.0)  # what a share can be: none of a domain, or nothing else


@law(
    "data_mixing_exp",
    cite="Ye et al., arXiv:2403.16952, eq. 1, for two domains",
    inputs=("domain_share",),
    params={
        "c": positive("loss that no mixture removes", start=(1.0, 3.0)),
        "k": positive("the part that the mixture changes, at no share of the domain", start=(0.2, 2.0)),
        "t": real("effect of the share; negative where the domain helps", low=-200.0, high=50.0, start=(-4.0, -1.0)),
    },
    starts=_one_share_starts,
    domain={"domain_share": _SHARE},
    authors_fit=_MIXTURE_FIT,
    evidence_kind="second_hand",
    evidence=_MIXTURE_EVIDENCE,
)
def data_mixing_exp(domain_share: Any, *, c: Any, k: Any, t: Any) -> Any:
    """Loss on a validation domain against the share of one of two training domains, ``c + k * exp(t*r)``.

    The law for M domains is ``c + k * exp(sum_j t_j r_j)``. Shares add up to one, so adding a
    constant to every t_j only rescales k: one of them can be left out, and is here; with two
    domains one share remains, with three use ``data_mixing_exp_3``. N and D are fixed: to reach a
    larger run the authors extrapolate the loss of each mixture first in steps, then in size.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> sdb.get_law("data_mixing_exp")([0.1, 0.5, 0.9], c=2.0, k=0.8, t=-3.0).round(3).tolist()
    [2.593, 2.179, 2.054]
    """
    return c + k * np.exp(t * domain_share)


def _two_share_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given the floor, the logarithm of the rest is linear in ln k and both t."""
    floors = floors_below(y, weights)
    columns = np.stack([np.ones_like(y), inputs[0], inputs[1]])[None]
    found = [(floor, *least_squares(columns, np.log(y - floor), weights * ((y - floor) / y) ** 2)) for floor in floors]
    rows = np.array([[floor, np.exp(solved[0, 0]), solved[0, 1], solved[0, 2]] for floor, solved, _ in found])
    return best_cells(rows, np.array([misfit[0] for _, _, misfit in found]))


@law(
    "data_mixing_exp_3",
    cite="Ye et al., arXiv:2403.16952, eq. 1, for three domains",
    inputs=("domain_share", "domain_share_2"),
    params={
        "c": positive("loss that no mixture removes", start=(1.0, 3.0)),
        "k": positive("the part that the mixture changes, with the third domain alone", start=(0.2, 2.0)),
        "t1": real("effect of the first share, against the third domain", low=-200.0, high=50.0, start=(-4.0, -1.0)),
        "t2": real("effect of the second share, against the third domain", low=-200.0, high=50.0, start=(-1.0, 2.0)),
    },
    starts=_two_share_starts,
    meanings={"domain_share_2": "share of the second domain in the training data (fraction)"},
    domain={"domain_share": _SHARE, "domain_share_2": _SHARE},
    authors_fit=_MIXTURE_FIT,
    evidence_kind="second_hand",
    evidence=_MIXTURE_EVIDENCE,
)
def data_mixing_exp_3(domain_share: Any, domain_share_2: Any, *, c: Any, k: Any, t1: Any, t2: Any) -> Any:
    """The law of data mixing for three domains, ``c + k * exp(t1*r1 + t2*r2)`` with ``r3 = 1 - r1 - r2``.

    Each t is relative to the third domain, so a positive one says "helps less than the third".

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('data_mixing_exp_3')(0.3, 0.2, c=2.0, k=0.8, t1=-3.0, t2=0.5):.3f}")
    2.359
    """
    return c + k * np.exp(t1 * domain_share + t2 * domain_share_2)


def _bimix_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given the exponent of the share, the rest is a power of the steps above a floor."""
    rows = []
    for alpha in np.geomspace(0.005, 1.0, 14):
        powers = floor_and_power(inputs[0], y * inputs[1] ** alpha, weights, _EXPONENTS)[:6]
        rows.append(np.column_stack([powers[:, 1], powers[:, 2], powers[:, 0], np.full(len(powers), alpha)]))
    return np.concatenate(rows)


@law(
    "bimix",
    cite="Ge et al., arXiv:2405.14908, the bivariate law",
    inputs=("n_steps", "domain_share"),
    params={
        "B": positive("scale of the term in steps, at the whole share", start=(1.0, 100.0)),
        "beta": exponent("exponent of steps", start=(0.2, 0.6)),
        "C": positive("loss after unlimited steps, at the whole share", start=(1.0, 3.0)),
        "alpha": exponent("exponent of the domain's share", start=(0.02, 0.3)),
    },
    starts=_bimix_starts,
    domain={"domain_share": (1e-3, 1.0)},  # a power of the share has no value at zero
    authors_fit="one fit for every domain",
    evidence_kind="second_hand",
    evidence="an independent reading prints the same equation; the paper itself was not at hand",
)
def bimix(n_steps: Any, domain_share: Any, *, B: Any, beta: Any, C: Any, alpha: Any) -> Any:
    """Loss on a domain from its share and the steps trained, ``r**-alpha * (B * s**-beta + C)``.

    The paper's factor A before the share is redundant with B and C and is 1 here. Only the domain's
    own share enters, so help from related domains shows as a small alpha. It diverges as the share
    goes to zero, where the exponential law of mixing stays finite.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> print(f"{sdb.get_law('bimix')(1e4, 0.25, B=20.0, beta=0.4, C=2.0, alpha=0.1):.3f}")
    2.874
    """
    return domain_share**-alpha * (B * n_steps**-beta + C)
