"""Chapter 7. Precision and compression: bits of training, bits after training, size of a group.

Two kinds of law. Those of training in low precision give a loss. Those of quantisation after it give
what it *adds* to a loss (``loss_added``), and are meant to be added to a law of the unquantised model:
with infinitely many bits they vanish.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scalingdb.law_library._core import FloatArray, exponent, law, positive, real
from scalingdb.law_library._starts import centre, grid, log_plane, projected

ADDED = {"loss_added": "what quantisation adds to the loss, nats per token"}


# ---- training in low precision: fewer effective parameters ---------------------------------------


def _kept(bits: Any, g: Any, n: Any) -> Any:
    """Share of the parameters that a number of bits leaves effective."""
    return 1 - np.exp(n - bits / g)


def _neff_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Chinchilla's linear terms, for given exponents and a common steepness of the three precisions.

    Each shift is set so that the fewest bits in the data keep a given share of the parameters: the
    bits that keep none are where the law ends, and the data lie above.
    """
    n, d, *bits = inputs
    n_centre, d_centre = centre(n), centre(d)
    least = [float(b.min()) for b in bits]

    def widths(cell: tuple[float, ...]) -> list[tuple[float, float]]:
        return [(g, low / g + float(np.log1p(-kept))) for low, g, kept in zip(least, cell[2:5], cell[5:8], strict=True)]

    def columns(*cell: float) -> tuple[FloatArray | float, ...]:
        alpha, beta = cell[:2]
        share = np.ones_like(n)
        for b, (g, shift) in zip(bits, widths(cell), strict=True):
            share = share * _kept(b, g, shift)
        return 1.0, (n / n_centre * share) ** -alpha, (d / d_centre) ** -beta

    def assemble(cell: tuple[float, ...], c: FloatArray) -> tuple[float, ...]:
        alpha, beta = cell[:2]
        floor, size, data = np.maximum(c, 1e-3)
        precision = [value for pair in widths(cell) for value in pair]
        return floor, size * n_centre**alpha, data * d_centre**beta, alpha, beta, *precision

    from scipy.stats import qmc

    unit = qmc.Sobol(8, scramble=False).random_base2(11)
    low = np.array([0.1, 0.1, *[np.log(0.5)] * 3, 0.1, 0.1, 0.1])
    high = np.array([0.9, 0.9, *[np.log(5.0)] * 3, 0.95, 0.95, 0.95])
    cells = low + unit * (high - low)
    cells[:, 2:5] = np.exp(cells[:, 2:5])
    return projected(map(tuple, cells), columns, y, weights, assemble)


_steepness = positive("bits over which the loss of effective parameters falls by a factor e", start=(0.5, 5.0))
_shift = real("shift: g*n bits leave nothing", start=(0.0, 3.0))


@law(
    "precision_neff",
    cite="Kumar et al., arXiv:2411.04330, eq. 4, with the shifts of its appendix K",
    inputs=(
        "n_params_non_embedding",
        "n_tokens",
        "precision_weight_bits",
        "precision_activation_bits",
        "precision_kv_bits",
    ),
    params={
        "E": positive("irreducible loss of the fit"),
        "A": positive("scale of the term in the effective N", start=(1.0, 1e6)),
        "B": positive("scale of the term in D", start=(1.0, 1e6)),
        "alpha": exponent("exponent of the effective N"),
        "beta": exponent("exponent of D; the authors tie it to alpha"),
        "g_w": _steepness("weights: bits over which the lost share falls by a factor e"),
        "n_w": _shift("weights: shift; g_w*n_w bits leave nothing"),
        "g_a": _steepness("activations: the same"),
        "n_a": _shift("activations: the same"),
        "g_kv": _steepness("key-value cache: the same"),
        "n_kv": _shift("key-value cache: the same"),
    },
    starts=_neff_starts,
    meanings={
        "precision_activation_bits": "bits of an activation during training",
        "precision_kv_bits": "bits of a key or value of attention during training",
    },
    domain={
        "n_params_non_embedding": (3e7, 2.2e8),
        "n_tokens": (1.5e9, 2.6e10),
        "precision_weight_bits": (3, 16),
        "precision_activation_bits": (4, 16),
        "precision_kv_bits": (4, 16),
    },
    authors_fit="465 runs on Dolma, integer types; runs with 3 bits of activations or cache are left out; beta = alpha",
    evidence="text of the paper; the shifts' sign is the one that gives its optimum of 7 to 8 bits",
)
def precision_neff(
    n_params_non_embedding: Any,
    n_tokens: Any,
    precision_weight_bits: Any,
    precision_activation_bits: Any,
    precision_kv_bits: Any,
    *,
    E: Any,
    A: Any,
    B: Any,
    alpha: Any,
    beta: Any,
    g_w: Any,
    n_w: Any,
    g_a: Any,
    n_a: Any,
    g_kv: Any,
    n_kv: Any,
) -> Any:
    """Training in low precision: Chinchilla's law with ``N_eff = N * prod(1 - exp(n_x - P_x/g_x))``.

    The product runs over weights, activations and key-value cache; with many bits it is 1 and the
    law is Chinchilla's. The main text omits the shifts ``n_x``, the appendix states them, and they
    are not optional: where a FLOP costs in proportion to the bits, the best precision is 7.0 bits
    with them and 3.5 without. At about 3 bits of activations or of the cache nothing is left of N
    and the law has no value (nan), as the authors' runs diverge there. ``float_weights`` is fitted
    to floating-point weights alone; give it many bits elsewhere.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("precision_neff")
    >>> [f"{law(220e6, 26e9, bits, bits, bits):.2f}" for bits in (4, 8, 16)]
    ['3.59', '3.23', '3.20']
    """
    with np.errstate(invalid="ignore"):  # too few bits: nan, by design
        # factor by factor: two negative shares must not make a positive one
        share = _kept(precision_weight_bits, g_w, n_w) ** -alpha
        share = share * _kept(precision_activation_bits, g_a, n_a) ** -alpha
        share = share * _kept(precision_kv_bits, g_kv, n_kv) ** -alpha
        return E + A * n_params_non_embedding**-alpha * share + B * n_tokens**-beta


# ---- quantisation after training ---------------------------------------------------------------


def _ptq_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """The logarithm is linear in all but the split of the scale between C_T and b."""
    n, d, bits = inputs
    scale, g_d, g_n, rate = log_plane((np.log(d), -np.log(n), -bits), y, weights)
    return np.array([[np.exp(scale - b), g_d, g_n, 1 / max(rate, 1e-3), b] for b in (0.0, 1.0)])


@law(
    "precision_ptq",
    cite="Kumar et al., arXiv:2411.04330, eq. 2, with the shift of its appendix K",
    inputs=("n_params_non_embedding", "n_tokens", "precision_weight_bits"),
    output="loss_added",
    params={
        "C_T": positive("scale, together with exp(b)", start=(1e-4, 10.0)),
        "g_D": exponent("exponent of D: more data, more harm"),
        "g_N": exponent("exponent of N: larger models suffer less"),
        "g_post": positive("bits over which the harm falls by a factor e", start=(0.2, 3.0)),
        "b": real("shift of the bits, in units of g_post", start=(0.0, 2.0)),
    },
    starts=_ptq_starts,
    meanings={"precision_weight_bits": "bits of a weight after quantisation", **ADDED},
    domain={"n_params_non_embedding": (3e7, 2.2e8), "n_tokens": (1.5e9, 2.6e10)},
    authors_fit="models of the same study, weights quantised by GPTQ",
    evidence="text of the paper, equation and table",
)
def precision_ptq(
    n_params_non_embedding: Any,
    n_tokens: Any,
    precision_weight_bits: Any,
    *,
    C_T: Any,
    g_D: Any,
    g_N: Any,
    g_post: Any,
    b: Any,
) -> Any:
    """Harm of quantising weights after training, ``C_T * D**g_D / N**g_N * exp(b - P/g_post)``.

    It grows with the tokens a model has seen, so that beyond some D more training makes the
    quantised model worse. Only ``C_T * exp(b)`` can be known from data: hold one of the two in a fit
    (``fixed={"b": 0.0}``); otherwise b gets no interval, and that of C_T means nothing. The
    exponents belong to models of at most 0.2e9 parameters, and sizes in use lie two decades beyond.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("precision_ptq")
    >>> [f"{law(100e6, tokens, 4):.3f}" for tokens in (2e9, 20e9)]  # ten times the tokens
    ['0.019', '0.062']
    """
    return C_T * n_tokens**g_D / n_params_non_embedding**g_N * np.exp(b - precision_weight_bits / g_post)


# ---- floating-point formats --------------------------------------------------------------------


def _fp_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given the four exponents the law is linear in n, d, e and 1/g."""
    size, tokens, ex, ma, block = inputs
    n_centre, d_centre = centre(size), centre(tokens)
    blocks = np.log2(block)

    def columns(a: float, b: float, dl: float, nu: float) -> tuple[FloatArray | float, ...]:
        small, much = (size / n_centre) ** -a, (tokens / d_centre) ** b
        return small, 1 / much, 1.0, much * small * blocks / ((ex + 0.5) ** dl * (ma + 0.5) ** nu)

    def assemble(cell: tuple[float, ...], c: FloatArray) -> tuple[float, ...]:
        a, b, dl, nu = cell
        n, d, e, harm = np.maximum(c, 1e-4)
        return n * n_centre**a, a, d * d_centre**b, b, e, d_centre**b / n_centre**a / harm, dl, nu

    cells = grid(*[np.linspace(0.1, 0.8, 6)] * 2, *[np.linspace(0.5, 5.0, 5)] * 2)
    return projected(cells, columns, y, weights, assemble)


@law(
    "fp_quant",
    cite="Sun et al., arXiv:2501.02423, eq. 26",
    inputs=("n_params_non_embedding", "n_tokens", "exponent_bits", "mantissa_bits", "block_size"),
    params={
        "n": positive("scale of the term in N", start=(1.0, 1e5)),
        "a": exponent("exponent of N, in the harm as well"),
        "d": positive("scale of the term in D", start=(1.0, 1e7)),
        "b": exponent("exponent of D, in the harm as well"),
        "e": positive("irreducible loss of the fit"),
        "g": positive("inverse scale of the harm", start=(1.0, 1e7)),
        "dl": exponent("exponent of the exponent bits", start=(0.5, 5.0)),
        "nu": exponent("exponent of the mantissa bits", start=(0.5, 5.0)),
    },
    starts=_fp_starts,
    meanings={
        "exponent_bits": "bits of the exponent of the floating-point type",
        "mantissa_bits": "bits of its mantissa, without the sign",
        "block_size": "values that share one scaling factor",
    },
    domain={"n_params_non_embedding": (4.1e7, 6.79e8)},
    evidence_kind="second_hand",
    evidence="equation and table of the paper, as the notes of the source say",
)
def fp_quant(
    n_params_non_embedding: Any,
    n_tokens: Any,
    exponent_bits: Any,
    mantissa_bits: Any,
    block_size: Any,
    *,
    n: Any,
    a: Any,
    d: Any,
    b: Any,
    e: Any,
    g: Any,
    dl: Any,
    nu: Any,
) -> Any:
    """Training in a floating-point type: Chinchilla's law and a harm that grows with D.

    The harm is ``D**b/N**a * log2(block) / (g * (Ex + 0.5)**dl * (Ma + 0.5)**nu)`` for Ex bits of
    exponent and Ma of mantissa: it shares the exponents of the two Chinchilla terms, so there is a
    critical D beyond which loss rises. A bit of exponent is worth slightly more than one of mantissa.
    A block of one value does no harm at all, whatever the type; that is the form's end, not a finding.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("fp_quant")
    >>> [f"{law(154e6, 50e9, ex, ma, 512):.3f}" for ex, ma in ((2, 1), (4, 3))]  # FP4, FP8
    ['2.959', '2.911']
    """
    harm = np.log2(block_size) / (g * (exponent_bits + 0.5) ** dl * (mantissa_bits + 0.5) ** nu)
    return n * n_params_non_embedding**-a + d * n_tokens**-b + e + n_tokens**b / n_params_non_embedding**a * harm


# ---- quantisation-aware training ---------------------------------------------------------------


def _qat_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """A product of powers: its logarithm is linear. A group of one has no logarithm and no say."""
    n, d, group = inputs
    scale, g_n, g_d, g_g = log_plane(
        (-np.log(n), np.log(d), np.log(np.log2(np.maximum(group, 1.001)))), y, weights * (group > 1.001)
    )
    return np.array([[np.exp(scale), g_n, g_d, g_g]])


@law(
    "qat_error",
    cite="Chen et al., arXiv:2505.14302, the unified law of the quantisation error",
    inputs=("n_params", "n_tokens", "group_size"),
    output="loss_added",
    params={
        "k": positive("scale", start=(1e-3, 10.0)),
        "g_N": exponent("exponent of N: larger models suffer less"),
        "g_D": exponent("exponent of D: more data, more harm"),
        "g_G": exponent("exponent of log2 of the group size"),
    },
    starts=_qat_starts,
    meanings={"group_size": "values that share one scaling factor", **ADDED},
    domain={"n_params": (7.4e7, 5.94e8), "n_tokens": (1e10, 1e11)},
    authors_fit="268 runs trained in 4 bits and their 16-bit twins; a run of 973e6 parameters on 200e9 tokens held out",
    evidence_kind="second_hand",
    evidence="two independent readings of the paper's equation and table",
)
def qat_error(n_params: Any, n_tokens: Any, group_size: Any, *, k: Any, g_N: Any, g_D: Any, g_G: Any) -> Any:
    """Error of quantisation-aware training, ``k * D**g_D * log2(G)**g_G / N**g_N``.

    One set for each choice of what is quantised to 4 bits (``w4a4``, ``w4a16``, ``w16a4``; the input
    of the second feed-forward matrix in 8 bits as ``..._fc2_8bit``). A group of one value gives no
    error. The readings do not say which parameters N counts, nor the units; with parameters and
    tokens the sum over weights and activations times 0.906 is the error of both, as the authors
    report. Add it to a law of the unquantised model; it has no meaning alone.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("qat_error")
    >>> parts = law(594e6, 100e9, 128, variant="w4a16") + law(594e6, 100e9, 128, variant="w16a4")
    >>> print(f"{0.906 * parts:.3f} for {law(594e6, 100e9, 128, variant='w4a4'):.3f}")
    0.055 for 0.057
    """
    return k * n_tokens**g_D * np.log2(group_size) ** g_G / n_params**g_N


def _qid_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """A product of powers: its logarithm is linear."""
    scale, beta, alpha, gamma = log_plane((np.log(inputs[1]), -np.log(inputs[0]), -np.log(inputs[2])), y, weights)
    return np.array([[np.exp(scale), beta, alpha, gamma]])


@law(
    "qid",
    cite="Ouyang et al., arXiv:2411.17691, eq. 8",
    inputs=("n_params_non_embedding", "n_tokens", "precision_weight_bits"),
    output="loss_added",
    params={
        "k": positive("scale", start=(1e-4, 10.0)),
        "beta": exponent("exponent of D: more data, more harm"),
        "alpha": exponent("exponent of N: larger models suffer less"),
        "gamma": exponent("exponent of the bits", start=(1.0, 9.0)),
    },
    starts=_qid_starts,
    meanings={"precision_weight_bits": "bits of a weight after quantisation", **ADDED},
    domain={"n_params_non_embedding": (8.5e7, 1.13e10), "n_tokens": (2.1e6, 2.06e11), "precision_weight_bits": (2, 4)},
    authors_fit="checkpoints of Pythia quantised by GPTQ",
    evidence_kind="second_hand",
    evidence="the caption of the paper's figure 6, as the notes of the source say",
)
def qid(
    n_params_non_embedding: Any, n_tokens: Any, precision_weight_bits: Any, *, k: Any, beta: Any, alpha: Any, gamma: Any
) -> Any:
    """Degradation by quantisation after training, ``k * D**beta / (N**alpha * P**gamma)``.

    A power of the bits where ``precision_ptq`` has an exponential: between 2 and 4 bits the two can
    hardly be told apart, at 8 they differ by orders. Solved for D it says how many tokens a model
    may see before quantisation costs a given loss, which is how the authors project to 1e14 tokens,
    500 times beyond their data.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> p = sdb.get_law("qid").coefficients()
    >>> tokens = (0.2 * (7e9 ** p["alpha"]) * 3 ** p["gamma"] / p["k"]) ** (1 / p["beta"])
    >>> print(f"{sdb.get_law('qid')(7e9, tokens, 3):.3f} nats after {tokens:.2g} tokens")
    0.200 nats after 1.9e+11 tokens
    """
    return k * n_tokens**beta / (n_params_non_embedding**alpha * precision_weight_bits**gamma)
