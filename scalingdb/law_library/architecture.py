"""Chapter 6. Architecture: vocabulary, parallel streams, routed experts, sparsity, two towers, growth.

Each law here adds to N and D a number that describes the network: how large its vocabulary is, how
often a text is run through it, how many experts it chooses from, what share of its weights is zero.
What N counts differs from law to law, and matters more than elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scalingdb.law_library._core import FloatArray, exponent, law, positive, real
from scalingdb.law_library._starts import best_cells, best_of_each, centre, grid, least_squares, log_plane, projected

MILLION, BILLION = 1e6, 1e9


# ---- vocabulary --------------------------------------------------------------------------------


def _vocab_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given both exponents the rest is linear, the floor included."""
    body, vocabulary, tokens = inputs[0] / MILLION, inputs[1] / MILLION, inputs[2] / BILLION
    middle = [centre(x) for x in (body, vocabulary, tokens)]

    def columns(beta: float, a2: float) -> tuple[FloatArray | float, ...]:
        return -1.0, (body / middle[0]) ** -beta, (vocabulary / middle[1]) ** -a2, (tokens / middle[2]) ** -beta

    def assemble(cell: tuple[float, ...], found: FloatArray) -> tuple[float, ...]:
        beta, a2 = cell
        floor, of_n, of_v, of_d = np.maximum(found, 1e-3)
        return floor, of_n * middle[0] ** beta, of_v * middle[1] ** a2, a2, of_d * middle[2] ** beta, beta

    cells = grid(np.linspace(0.1, 1.0, 19), np.linspace(0.1, 2.0, 20))
    return projected(cells, columns, y, weights, assemble, relative=False)


@law(
    "vocab_loss",
    cite="Tao et al., arXiv:2407.13623, approach 3",
    inputs=("n_params_non_embedding", "n_params_vocabulary", "n_tokens"),
    params={
        "E": positive("floor, counted downwards: the loss tends to -E", start=(1.0, 10.0)),
        "A1": positive("scale of the term in the body, at a million parameters"),
        "A2": positive("scale of the term in the vocabulary, at a million parameters"),
        "a2": exponent("exponent of the vocabulary"),
        "B": positive("scale of the term in data, at 1e9 tokens"),
        "beta": exponent("exponent of body and data, which are tied"),
    },
    starts=_vocab_starts,
    meanings={
        "n_params_vocabulary": "parameters of the vocabulary, its entries times d_model, counted once",
        "loss": "cross-entropy minus that of a unigram model of the same vocabulary, nats per token; negative",
    },
    domain={
        "n_params_non_embedding": (33e6, 1.13e9),
        "n_params_vocabulary": (2.1e6, 1.97e8),
        "n_tokens": (2.65e8, 5.48e10),
    },
    authors_fit=(
        "sum of Huber losses (delta 1e-3) of the loss itself, not its logarithm; checkpoints of at least 2.18e17 "
        "FLOP; the start with the smallest relative error whose exponents lie between 0.1 and 1"
    ),
    evidence="the authors' approach3_isoloss.py, and our refit of their 1,054 points",
)
def vocab_loss(
    n_params_non_embedding: Any,
    n_params_vocabulary: Any,
    n_tokens: Any,
    *,
    E: Any,
    A1: Any,
    A2: Any,
    a2: Any,
    B: Any,
    beta: Any,
) -> Any:
    """Loss with the vocabulary as a part of its own, ``-E + A1/N**beta + A2/(V*d)**a2 + B/D**beta``.

    N (without vocabulary) and ``V*d`` count in millions, D in billions of tokens inside the formula;
    give the inputs in plain counts. The loss is measured against a unigram model, so that
    vocabularies compare; it is negative, so fit it with ``objective="huber"``, which takes no
    logarithm. More entries shorten a text and cost FLOP: hold ``6*(N + V*d)*D`` and the characters
    fixed when you look for the best V. The authors' script divides V by 1,000 before it converts
    characters to tokens, so their set (``published``) is on another scale of D and predicts nothing
    with true tokens; ``refit``, on the same points, is the default. It leaves A2 and a2 hardly
    identified: a vocabulary's own term is small.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("vocab_loss")
    >>> print(f"{law(302e6, 32768 * 1024, 20e9):.3f}")  # nats per token better than a unigram model
    -5.023
    """
    body = A1 * (n_params_non_embedding / MILLION) ** -beta
    vocabulary = A2 * (n_params_vocabulary / MILLION) ** -a2
    return -E + body + vocabulary + B * (n_tokens / BILLION) ** -beta


def _free_vocab_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given the three exponents the rest is linear."""
    middle = [centre(x) for x in inputs]

    def columns(alpha: float, gamma: float, beta: float) -> tuple[FloatArray | float, ...]:
        return 1.0, *((x / at) ** -power for x, at, power in zip(inputs, middle, (alpha, gamma, beta), strict=True))

    def assemble(cell: tuple[float, ...], found: FloatArray) -> tuple[float, ...]:
        alpha, gamma, beta = cell
        size, data = np.maximum(found[[1, 3]], 1e-6)
        scales = size * middle[0] ** alpha, found[2] * middle[1] ** gamma, data * middle[2] ** beta
        return found[0], scales[0], alpha, scales[1], gamma, scales[2], beta

    cells = grid(np.geomspace(0.08, 1.0, 8), np.geomspace(0.08, 1.2, 8), np.geomspace(0.08, 1.0, 8))
    return projected(cells, columns, y, weights, assemble, relative=False)


@law(
    "vocab_free",
    cite="ours: the form of Tao et al., arXiv:2407.13623, approach 3, with its ties undone",
    inputs=("n_params_non_embedding", "vocab_size", "n_tokens"),
    params={
        "E": real("loss that is left without limits", start=(1.0, 3.0)),
        "A": positive("scale of the term in the body", start=(10.0, 1e4)),
        "alpha": exponent("exponent of the body", start=(0.15, 0.6)),
        "G": real("scale of the term in the vocabulary; negative where more entries raise the loss", start=(0.5, 2.0)),
        "gamma": exponent("exponent of the vocabulary", start=(0.1, 1.0)),
        "B": positive("scale of the term in data", start=(10.0, 1e5)),
        "beta": exponent("exponent of data", start=(0.15, 0.6)),
    },
    starts=_free_vocab_starts,
    authors_fit="none: the authors tie body and data, and count the vocabulary in parameters",
    evidence="the tied form was read; see vocab_loss",
    evidence_kind="derived",
)
def vocab_free(
    n_params_non_embedding: Any,
    vocab_size: Any,
    n_tokens: Any,
    *,
    E: Any,
    A: Any,
    alpha: Any,
    G: Any,
    gamma: Any,
    B: Any,
    beta: Any,
) -> Any:
    """Loss with a vocabulary term of either sign, ``E + A/N**alpha + G/V**gamma + B/D**beta``.

    All exponents are free, and V counts entries. Per token a larger vocabulary raises the loss, since each token says
    more; against a unigram model, or per character, it lowers it: the sign of G says which. Where E may be negative, as
    for a loss against a unigram model, fit with ``objective="huber"``.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("vocab_free")
    >>> given = dict(E=-6.0, A=300.0, alpha=0.33, G=-1.5, gamma=0.2, B=900.0, beta=0.31)
    >>> bool(law(1e9, 64_000, 2e10, **given) > law(1e9, 32_000, 2e10, **given))
    True
    """
    body, data = A * n_params_non_embedding**-alpha, B * n_tokens**-beta
    return E + body + G * vocab_size**-gamma + data


# ---- parallel streams --------------------------------------------------------------------------


def _parscale_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given alpha and k the loss is ``E + c * (N*(1 + k ln P))**-alpha`` with ``c = A**alpha``."""
    n, streams = inputs
    middle = centre(n)

    def assemble(cell: tuple[float, ...], c: FloatArray) -> tuple[float, ...]:
        alpha, k = cell
        return max(c[0], 1e-3), middle * max(c[1], 1e-6) ** (1 / alpha), alpha, k

    return projected(
        grid(np.geomspace(0.03, 1.5, 24), np.geomspace(0.02, 3.0, 16)),
        lambda alpha, k: (1.0, (n / middle * (1 + k * np.log(streams))) ** -alpha),
        y,
        weights,
        assemble,
    )


@law(
    "parscale",
    cite="Chen et al., arXiv:2505.10475, the parallel scaling law",
    inputs=("n_params_non_embedding", "n_streams"),
    params={
        "E": positive("irreducible loss of the fit, at the tokens of the runs"),
        "A": positive("parameters at which one stream has a reducible loss of 1", start=(1e5, 1e11)),
        "alpha": exponent("exponent of N"),
        "k": positive("worth of streams: P of them equal 1 + k*ln(P) times the parameters", start=(0.05, 2.0)),
    },
    starts=_parscale_starts,
    domain={"n_params_non_embedding": (5.36e8, 4.41e9), "n_streams": (1, 8)},
    authors_fit="Huber loss (delta 1e-3) of log residuals, L-BFGS, 300 starts; 24 runs per corpus, 42e9 tokens each",
    evidence="the authors' parametric_fit.py, and our refit of their points",
)
def parscale(n_params_non_embedding: Any, n_streams: Any, *, E: Any, A: Any, alpha: Any, k: Any) -> Any:
    """Parallel scaling: P streams act like more parameters, ``E + (A / (N * (1 + k*ln P)))**alpha``.

    One stream gives a power law with a floor. Eight are worth 1.7 to 1.8 times the parameters, by
    the two corpora; k is larger on code. N leaves embeddings out and grows a little with P. All
    runs saw the same tokens, so E holds their finite data, too: the law says nothing about D. P
    beyond 8 was not tried, and ``ln P`` has no end.

    Examples
    --------
    >>> import numpy as np
    >>> import scalingdb as sdb
    >>> k = sdb.get_law("parscale").coefficients("pile")["k"]
    >>> round(float(1 + k * np.log(8)), 2)  # 8 streams, in parameters
    1.7
    """
    return E + (A / (n_params_non_embedding * (1 + k * np.log(n_streams)))) ** alpha


# ---- mixtures of experts -----------------------------------------------------------------------


def _saturated(n_experts: Any, E_s: Any, E_m: Any) -> Any:
    """Experts as they count: E_s of them for a dense model, E_m for infinitely many."""
    return 1 / (1 / (n_experts - 1 + 1 / (1 / E_s - 1 / E_m)) + 1 / E_m)


def _routing_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given the two saturations ``log10 L`` is linear in ``log10 N``, ``log10 Eh`` and their product.

    Few values of N or of the experts leave saturations far from any that were published: the grid is wide.
    """
    log_n, experts = np.log10(inputs[0]), inputs[1]
    cells = np.array(grid(np.geomspace(0.03, 1e3, 28), np.geomspace(0.05, 1e5, 28)))
    with np.errstate(all="ignore"):
        log_e = np.log10(_saturated(experts, cells[:, :1], cells[:, 1:]))
        columns = np.stack([np.broadcast_to(log_n, log_e.shape), log_e, log_n * log_e, np.ones_like(log_e)], axis=1)
    found, misfit = least_squares(columns, np.log10(y), weights)
    return best_cells(np.column_stack([found, cells]), misfit, 128)


@law(
    "routing_moe",
    cite="Clark et al., arXiv:2202.01169, eq. 1, with saturating experts",
    inputs=("n_params_active", "n_experts"),
    params={
        "a": real("slope in log10 N of a model without experts", start=(-0.2, 0.0)),
        "b": real("slope in log10 of the experts, at one parameter", start=(-0.3, 0.0)),
        "c": real("interaction: the gain from experts shrinks with N", start=(0.0, 0.03)),
        "d": real("intercept, log10 of the loss", start=(0.5, 2.0)),
        "E_s": positive("experts that a dense model counts as", start=(1.1, 10.0)),
        "E_m": positive("experts that infinitely many count as", start=(50.0, 3000.0)),
    },
    starts=_routing_starts,
    meanings={"n_params_active": "parameters of the dense model that the experts were added to (the paper's N)"},
    domain={"n_params_active": (1.65e7, 1.31e9), "n_experts": (1, 512)},
    authors_fit="mean squared residual of log10 L, L-BFGS-B from 500 random starts",
    evidence="the authors' example.ipynb, and our refit of their curves",
)
def routing_moe(n_params_active: Any, n_experts: Any, *, a: Any, b: Any, c: Any, d: Any, E_s: Any, E_m: Any) -> Any:
    """Unified law of routed models: ``log10 L`` is bilinear in ``log10 N`` and ``log10 Eh``.

    ``Eh`` is the number of experts after saturation: ``E_s`` for a dense model (one expert), never
    more than ``E_m``. N is the dense model's size, whatever is routed. There is no floor and no D:
    all runs saw 130e9 tokens. Experts stop helping at ``N = 10**(-b/c)``, a ratio of two small
    numbers: three printed digits of b and c do not give the paper's own cutoffs, so the default set
    is a refit, and no cutoff should be quoted without an interval. On the released runs E_s is known
    to a factor of 1.6, E_m to one of three (95 %).

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("routing_moe")
    >>> print(f"{law(370e6, 1) - law(370e6, 64):.3f}")  # nats that 64 experts gain
    0.242
    """
    log_n = np.log10(n_params_active)
    log_e = np.log10(_saturated(n_experts, E_s, E_m))
    return 10.0 ** (a * log_n + b * log_e + c * log_n * log_e + d)


def _expert_product_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given both exponents it is linear in floor and scale."""
    middle = [centre(x) for x in inputs]

    def assemble(cell: tuple[float, ...], found: FloatArray) -> tuple[float, ...]:
        alpha, gamma = cell
        floor, scale = np.maximum(found, 1e-6)
        return floor, scale * middle[0] ** alpha * middle[1] ** gamma, alpha, gamma

    return projected(
        grid(np.geomspace(0.02, 1.2, 24), np.geomspace(0.01, 1.2, 24)),
        lambda alpha, gamma: (1.0, (inputs[0] / middle[0]) ** -alpha * (inputs[1] / middle[1]) ** -gamma),
        y,
        weights,
        assemble,
    )


_EXPERTS = {"n_params_active": "parameters of the dense model that the experts were added to"}


@law(
    "expert_product",
    cite="ours: a power of experts times a power of N, with a floor; compare Clark et al., arXiv:2202.01169",
    inputs=("n_params_active", "n_experts"),
    params={
        "E": positive("loss that is left without limits", start=(0.5, 3.0)),
        "A": positive("scale of the rest"),
        "alpha": exponent("exponent of N"),
        "gamma": exponent("exponent of the experts"),
    },
    starts=_expert_product_starts,
    meanings=_EXPERTS,
    authors_fit="none",
    evidence="a form of four parameters beside the published one of six, which is log-bilinear without a floor",
    evidence_kind="derived",
)
def expert_product(n_params_active: Any, n_experts: Any, *, E: Any, A: Any, alpha: Any, gamma: Any) -> Any:
    """Loss of routed models as a product of powers, ``E + A / (N**alpha * experts**gamma)``.

    Each doubling of the experts takes off the same part of the reducible loss, at every size: no saturation, so do not
    go far beyond the experts that were tried. With half the parameters of ``routing_moe`` it is the one to begin with.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("expert_product")
    >>> print(f"{law(3.7e8, 64, E=1.0, A=30.0, alpha=0.16, gamma=0.08):.3f}")
    1.916
    """
    return E + A * n_params_active**-alpha * n_experts**-gamma


def _expert_coupled_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given floor and outer power, the rest of the loss to one over that power is a sum of two powers."""
    middle = [centre(x) for x in inputs]
    n, experts = (x / at for x, at in zip(inputs, middle, strict=True))
    cells = np.array(grid(np.geomspace(0.01, 2.0, 14), np.geomspace(0.02, 2.0, 12)))
    alpha, gamma = cells.T
    basis = np.stack([n ** -alpha[:, None], experts ** -gamma[:, None]], axis=1)
    rows: list[FloatArray] = []
    misfits: list[FloatArray] = []
    places: list[FloatArray] = []
    lowest = float(y[weights > 0].min())
    for part in (0.0, 0.3, 0.5, 0.65, 0.8, 0.9, 0.97):
        rest = y - part * lowest
        for outer in (0.25, 0.5, 0.75, 1.0, 1.5):
            target = rest ** (1 / outer)
            found, misfit = least_squares(basis, target, weights / target**2)
            found = np.maximum(found, 1e-6 * float(target.mean()))
            scaled = found * np.stack([middle[0] ** alpha, middle[1] ** gamma], axis=1)
            floor, power = np.full(len(cells), max(part * lowest, 1e-6)), np.full(len(cells), outer)
            rows.append(np.column_stack([floor, scaled[:, 0], alpha, scaled[:, 1], gamma, power]))
            misfits.append(misfit * outer**2 * float(np.mean((rest / y) ** 2)))
            # a slow and a fast power of N end in different valleys
            places.append(2.0 * len(places) + (alpha > 0.15))
    return best_of_each(np.concatenate(rows), np.concatenate(misfits), np.concatenate(places))


@law(
    "expert_coupled",
    cite="ours: the coupling of Kaplan et al., arXiv:2001.08361, eq. 1.5, for experts, with a floor",
    inputs=("n_params_active", "n_experts"),
    params={
        "E": positive("loss that is left without limits", start=(0.5, 3.0)),
        "A": positive("scale of the term in N", start=(1.0, 100.0)),
        "alpha": exponent("exponent of N", start=(0.1, 0.6)),
        "B": positive("scale of the term in the experts", start=(0.3, 3.0)),
        "gamma": exponent("exponent of the experts", start=(0.1, 1.0)),
        "g": exponent("power of the sum", start=(0.3, 1.5)),
    },
    starts=_expert_coupled_starts,
    meanings=_EXPERTS,
    authors_fit="none",
    evidence="the coupling of two terms was read for N and D; see kaplan_lnd and chinchilla_coupled",
    evidence_kind="derived",
)
def expert_coupled(
    n_params_active: Any, n_experts: Any, *, E: Any, A: Any, alpha: Any, B: Any, gamma: Any, g: Any
) -> Any:
    """Loss of routed models as a coupled sum, ``E + (A/N**alpha + B/experts**gamma)**g``.

    Experts help until N is what is missing, and the other way round: the gain from either saturates where the other
    term is left. With g = 1 the two are additive.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("expert_coupled")
    >>> print(f"{law(3.7e8, 64, E=1.0, A=30.0, alpha=0.2, B=0.5, gamma=0.5, g=0.8):.3f}")
    1.702
    """
    return E + (A * n_params_active**-alpha + B * n_experts**-gamma) ** g


# ---- sparsity ----------------------------------------------------------------------------------


def _frantar_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given the three exponents the law is linear in both scales of N, in ``a_D**b_D`` and in the floor."""
    density, n, examples = inputs
    n_centre, d_centre = centre(n), centre(examples)

    def columns(b_s: float, b_n: float, b_d: float) -> tuple[FloatArray | float, ...]:
        size = (n / n_centre) ** -b_n
        return density**b_s * size, size, (examples / d_centre) ** -b_d, 1.0

    def assemble(cell: tuple[float, ...], found: FloatArray) -> tuple[float, ...]:
        b_s, b_n, b_d = cell
        sparse, dense, data, floor = np.maximum(found, 1e-4)
        return sparse * n_centre**b_n, b_s, dense * n_centre**b_n, b_n, d_centre * data ** (1 / b_d), b_d, floor

    cells = grid(np.linspace(0.2, 2.0, 7), np.geomspace(0.08, 1.0, 9), np.geomspace(0.1, 1.6, 9))
    return projected(cells, columns, y, weights, assemble)


@law(
    "frantar_sparse",
    cite="Frantar et al., arXiv:2309.08520",
    inputs=("density", "n_params_nonzero", "n_examples"),
    params={
        "a_S": positive("scale of the part of the term in N that density costs", start=(1e-1, 1e5)),
        "b_S": exponent("exponent of the density"),
        "c_S": positive("scale of the part that it does not", start=(1e-1, 1e5)),
        "b_N": exponent("exponent of the weights that are not zero"),
        "a_D": positive("examples at which the term in D is 1", start=(1e6, 1e11)),
        "b_D": exponent("exponent of the examples"),
        "c": positive("floor"),
    },
    starts=_frantar_starts,
    meanings={
        "density": "share of the weights that are not zero, 1 - sparsity",
        "n_params_nonzero": "weights that are not zero (of the encoder, for vision transformers)",
        "loss": "loss of the task: nats per image for the vision transformers of the stored set",
    },
    authors_fit="in the notebook N counts in millions and D in billions; the stored set is converted",
    evidence="jaxpruner/projects/bigsparse/sparsity-scaling.ipynb: the term in D stands outside the bracket",
)
def frantar_sparse(
    density: Any,
    n_params_nonzero: Any,
    n_examples: Any,
    *,
    a_S: Any,
    b_S: Any,
    c_S: Any,
    b_N: Any,
    a_D: Any,
    b_D: Any,
    c: Any,
) -> Any:
    """Weight sparsity S shifts the term in N: ``(a_S*(1-S)**b_S + c_S) * N**-b_N + (a_D/D)**b_D + c``.

    N counts the weights that are *not* zero, so a sparse model is the larger one of equal N and the
    better one; sparsity enters as its complement, which is positive for a dense model, too. However
    sparse, weights are worth at most ``(1 + a_S/c_S)**(1/b_N)`` dense ones. Only the vision set is
    held; the paper's coefficients of T5 were not read.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("frantar_sparse")
    >>> bool(law(0.25, 1e7, 1e9) < law(1.0, 1e7, 1e9))  # 75 % sparse, equal weights left
    True
    """
    capacity = (a_S * density**b_S + c_S) * n_params_nonzero**-b_N
    return capacity + (a_D / n_examples) ** b_D + c


@law(
    "avg_param_sparse",
    cite="Jin et al., arXiv:2501.12486",
    inputs=("n_params_average", "n_tokens"),
    params={
        "E": positive("irreducible loss of the fit"),
        "A": positive("scale of the term in the average N"),
        "B": positive("scale of the term in D"),
        "alpha": exponent("exponent of the average N"),
        "beta": exponent("exponent of D"),
    },
    meanings={"n_params_average": "mean over training of the parameters that are not pruned yet"},
    domain={"n_params_average": (5.8e7, 4.68e8)},
    authors_fit="as Chinchilla's law; the fitted coefficients were not read and are not held",
    evidence_kind="second_hand",
    evidence=(
        "the abstract (Chinchilla's law with the average parameter count) and the authors' project page, which agrees "
        "and gives the range of sizes; the equation itself was not read"
    ),
)
def avg_param_sparse(n_params_average: Any, n_tokens: Any, *, E: Any, A: Any, B: Any, alpha: Any, beta: Any) -> Any:
    """Chinchilla's law with the parameter count averaged over training, for models pruned on the way.

    A dense run's average is its N, so one set of coefficients covers dense and sparse runs. Average
    over tokens (:func:`scalingdb.schedules.average_params` does it), not over logged rows. The
    authors pruned between 25 % and 75 % of the compute; the law says nothing of pruning at the end,
    where the average hardly moves and the loss does.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> dense = dict(E=1.8, A=480.0, B=2100.0, alpha=0.35, beta=0.37)
    >>> law = sdb.get_law("avg_param_sparse")
    >>> bool(law(3e8, 1e10, **dense) == sdb.get_law("chinchilla")(3e8, 1e10, **dense))
    True
    """
    return E + A * n_params_average**-alpha + B * n_tokens**-beta


# ---- encoder and decoder -----------------------------------------------------------------------


@law(
    "nmt_encdec",
    cite="Ghorbani et al., arXiv:2109.07740, eq. 2",
    inputs=("n_params_encoder", "n_params_decoder"),
    params={
        "alpha": positive("reducible loss at one parameter in either tower", start=(1.0, 1e6)),
        "p_e": exponent("exponent of the encoder"),
        "p_d": exponent("exponent of the decoder"),
        "L_inf": positive("irreducible loss"),
    },
    meanings={
        "n_params_encoder": "parameters of the encoder without embeddings",
        "n_params_decoder": "parameters of the decoder without embeddings and softmax",
    },
    evidence="the abstract: a bivariate law with unequal exponents; the product of powers is quoted from memory",
    evidence_kind="unchecked",
)
def nmt_encdec(n_params_encoder: Any, n_params_decoder: Any, *, alpha: Any, p_e: Any, p_d: Any, L_inf: Any) -> Any:
    """Translation loss in the sizes of both towers, ``alpha * N_e**-p_e * N_d**-p_d + L_inf``.

    The authors divide each size by that of a reference model; the two constants merge with alpha
    and are left out. The exponents differ, so the total count does not fix the loss; under a given
    total the best split is ``N_e/N_d = p_e/p_d``. On test sets that were written in the source
    language BLEU stops improving while this loss still falls. The equation was not read in the
    paper, so no coefficients are held.

    Examples
    --------
    >>> import numpy as np
    >>> import scalingdb as sdb
    >>> encoder = np.linspace(1e7, 9e7, 801)
    >>> loss = sdb.get_law("nmt_encdec")(encoder, 1e8 - encoder, alpha=1e3, p_e=0.2, p_d=0.3, L_inf=1.0)
    >>> float(encoder[np.argmin(loss)])  # 0.2 / (0.2 + 0.3) of the total
    40000000.0
    """
    return alpha * n_params_encoder**-p_e * n_params_decoder**-p_d + L_inf


# ---- growth ------------------------------------------------------------------------------------


def _gstack_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """The logarithm of the law is linear in its three parameters."""
    c, a, b = log_plane((np.log(inputs[0]), np.log(10) / np.log10(inputs[1])), y, weights)
    return np.array([[a, b, c / np.log(10)]])


@law(
    "gstack_timing",
    cite="Du et al., arXiv:2405.15319, guideline for the growth timing",
    inputs=("n_params", "train_flops"),
    output="n_tokens_growth",
    params={
        "a": real("exponent of N", start=(0.0, 2.0)),
        "b": real("weight of 1 / log10 C", start=(0.0, 300.0)),
        "c": real("intercept of log10 of the tokens", start=(-20.0, 5.0)),
    },
    starts=_gstack_starts,
    meanings={
        "n_params": "parameters of the grown model, embeddings included",
        "train_flops": "training compute of the grown model, 6*N*D",
        "n_tokens_growth": "tokens that the small model is trained on before its layers are stacked",
    },
    authors_fit="least squares of the logarithm; the growth factor is 4",
    evidence="README of tongxuluo/prts, whose four examples the formula reproduces",
)
def gstack_timing(n_params: Any, train_flops: Any, *, a: Any, b: Any, c: Any) -> Any:
    """When to stack: ``log10 d = a*log10 N + b/log10 C + c`` tokens of the small model.

    It fits the choice among a few timings at a few sizes and answers in one number without error;
    take it as an order of magnitude. Larger models want longer, larger budgets slightly shorter
    first stages.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("gstack_timing")
    >>> print(f"{law(70e9, 6 * 70e9 * 2e12):.3g}")  # for a model of 70e9 parameters on 2e12 tokens
    4.25e+10
    """
    return 10.0 ** (a * np.log10(n_params) + b / np.log10(train_flops) + c)
