"""Chapter 8. Transfer and fine-tuning: what pretraining is worth to a task, and what examples add.

None of these papers released its runs, and their coefficients belong to one task and one model each,
so none are held: the laws are here to be fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scalingdb.law_library._core import FloatArray, exponent, law, positive


def _bleu_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given beta, ``y**(1/beta)`` is a straight line in ``ln D``: slope alpha, intercept ``ln A``."""
    log_d = np.log(inputs[0])
    starts = []
    for beta in np.geomspace(0.1, 6.0, 48):
        with np.errstate(all="ignore"):
            target = y ** (1 / beta)
        if not np.isfinite(target).all() or target.max() <= 0:
            continue
        root = np.sqrt(weights) / target
        design = np.stack([np.ones_like(log_d), log_d - log_d.mean()], axis=1) * root[:, None]
        level, slope = np.linalg.lstsq(design, target * root, rcond=None)[0]
        log_a = level - slope * log_d.mean()
        if slope > 0 and log_a > -600:
            starts.append([np.exp(min(log_a, 600.0)), slope, beta])
    return np.array(starts).reshape(-1, 3)


@law(
    "bleu_log",
    cite="Isik et al., arXiv:2402.04177, f(D_p) = (log(A * D_p**alpha))**beta",
    inputs=("n_tokens_pretrain",),
    output="bleu",
    params={
        "A": positive("scale of the pretraining data inside the logarithm", start=(1.0, 1e4)),
        "alpha": exponent("exponent of the pretraining data inside the logarithm", start=(0.05, 1.0)),
        "beta": exponent("power of the logarithm", start=(0.1, 6.0)),
    },
    starts=_bleu_starts,
    meanings={"bleu": "BLEU (or another translation score), in the unit of your data: points or a fraction"},
    evidence="the paper's abstract and the caption of its figure 9 (BLEU above, cross-entropy below)",
)
def bleu_log(n_tokens_pretrain: Any, *, A: Any, alpha: Any, beta: Any) -> Any:
    """Translation score after fine-tuning against pretraining data, ``(ln(A * D_p**alpha))**beta``.

    It holds where pretraining and task are alike. Under moderate misalignment the score rises and
    falls while cross-entropy (``power_offset`` in D_p) keeps improving, so the score, not the loss,
    must be plotted. Defined only where ``A * D_p**alpha > 1``; a curve this flat hardly fixes three
    numbers, and the law never ends although BLEU does.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("bleu_log")
    >>> [f"{law(d, A=1.0, alpha=0.5, beta=1.2):.1f}" for d in (1e8, 1e10)]
    ['14.4', '18.8']
    """
    return np.log(A * n_tokens_pretrain**alpha) ** beta


@law(
    "sft_joint",
    cite="Zhang et al., arXiv:2402.17193, eq. 1",
    inputs=("n_params", "n_examples"),
    params={
        "A": positive("scale", start=(1e-2, 1e6)),
        "alpha": exponent("exponent of the other factor"),
        "beta": exponent("exponent of the fine-tuning examples"),
        "E": positive("irreducible loss of the fit"),
    },
    meanings={
        "n_params": "model size; for the pretraining tokens or the trained parameters name their column instead",
        "n_examples": "fine-tuning examples",
    },
    domain={"n_params": (1e9, 1.6e10)},
    authors_fit="one fit per task, method and factor, at up to 2e7 examples",
    evidence="text of the paper, equation 1",
)
def sft_joint(n_params: Any, n_examples: Any, *, A: Any, alpha: Any, beta: Any, E: Any) -> Any:
    """Fine-tuning loss in two factors, ``A * X**-alpha * D_f**-beta + E``.

    X is one factor at a time: model size, pretraining tokens, or trained parameters of LoRA and
    prompts, each with its own fit. The factors multiply, so examples are worth the same *share* of
    the reducible loss at every size, unlike in Chinchilla's sum. Reported: model size helps more
    than pretraining data, and the number of trained parameters hardly helps at all. Where the
    loss does not fall with X, alpha goes to zero and the fit's verdict says so.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("sft_joint")
    >>> values = dict(A=40.0, alpha=0.15, beta=0.05, E=0.8)
    >>> print(f"{(law(8e9, 1e5, **values) - 0.8) / (law(1e9, 1e5, **values) - 0.8):.3f}")  # 8**-0.15
    0.732
    """
    return A * n_params**-alpha * n_examples**-beta + E


@law(
    "rectified_sft",
    cite="Lin et al., arXiv:2402.02314, the rectified scaling law",
    inputs=("n_examples",),
    params={
        "B": positive("scale", start=(1.0, 1e5)),
        "D_l": positive("what pretraining has taught already, in units of examples**beta", start=(1.0, 1e4)),
        "beta": exponent("exponent of the examples", start=(0.2, 1.5)),
        "E": positive("loss with infinitely many examples"),
    },
    meanings={"n_examples": "fine-tuning examples"},
    authors_fit="one fit per model and data set, 30 models, three tasks",
    evidence_kind="second_hand",
    evidence=(
        "two independent readings print this form; the authors' project page prints it with a further outer exponent, "
        "which is 1 here"
    ),
)
def rectified_sft(n_examples: Any, *, B: Any, D_l: Any, beta: Any, E: Any) -> Any:
    """Fine-tuning loss with a flat start, ``B / (D_l + D**beta) + E``.

    While ``D**beta`` is below D_l the curve is flat ("pre-power phase"); beyond, it is a power law
    with a floor, which it equals for ``D_l = 0``. A plain power fitted across the bend gets an
    exponent that depends on where the data end. Without points on both sides of the bend D_l and
    beta trade off.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("rectified_sft")
    >>> [f"{law(d, B=300.0, D_l=100.0, beta=0.7, E=1.0):.2f}" for d in (10, 1e3, 1e5)]
    ['3.86', '2.33', '1.09']
    """
    return B / (D_l + n_examples**beta) + E
