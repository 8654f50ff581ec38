"""Units and definitions: losses, parameter counts, training compute, tokens and characters.

Papers state the same quantity in different units and under different definitions, and most
disagreements between scaling laws begin there. Each function is one conversion, names what it needs,
and says where it is defined. All take numbers, NumPy arrays, Polars Series and (but for the inverse
of :func:`n_params_total`) Polars expressions.

Symbols: ``n_params`` counts all parameters, ``n_params_non_embedding`` those of the body, without
embedding and head; compute is that of a whole training run, forward and backward, in FLOP.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from scalingdb._arguments import tell
from scalingdb.errors import DataError

__all__ = [
    "FLOP_PER_PF_DAY",
    "OMEGA",
    "bits_per_byte",
    "bits_per_character",
    "bits_per_token",
    "flops_6nd",
    "flops_farseer",
    "flops_hoffmann",
    "flops_kaplan",
    "flops_porian",
    "flops_replay",
    "flops_step_law",
    "n_characters",
    "n_params_body",
    "n_params_non_embedding",
    "n_params_open_lm",
    "n_params_total",
    "n_tokens",
    "nats_from_bits",
    "nats_from_bits_per_byte",
    "nats_from_perplexity",
    "omega",
    "perplexity",
    "pf_days",
    "pf_days_to_flop",
    "tokens_per_character",
]

Amount = Any
"""A number, a NumPy array, a Polars Series or an expression."""

FLOP_PER_PF_DAY = 8.64e19
"""One petaFLOP/s for a day: 1e15 * 24 * 3600 FLOP (Kaplan et al., arXiv:2001.08361, section 1.3)."""

OMEGA = 47491.0
"""Embedding parameters per cube root of body parameters: vocabulary 32,000, aspect ratio 39.2
(Pearce and Song, arXiv:2406.12907, and their script)."""


def _need_positive(**values: Any) -> None:
    """Refuse numbers, arrays and Series that are not positive; an expression has no values to look at."""
    for name, value in values.items():
        if hasattr(value, "meta"):  # a Polars expression
            continue
        array = np.asarray(value, dtype=float)
        if not np.all(array > 0):
            bad = array[~(array > 0)].ravel()[0]
            raise DataError(f"{name} = {bad:g} is not positive", "give a count or a loss in the unit that is named.")


# ---- losses ------------------------------------------------------------------------------------


def bits_per_token(loss_nats: Amount) -> Any:
    """Nats per token to bits per token: ``loss / ln 2``.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> round(sdb.units.bits_per_token(2.0), 4)
    2.8854
    """
    return loss_nats / math.log(2.0)


def nats_from_bits(bits: Amount) -> Any:
    """Bits (per token, byte or character) to nats per the same: ``bits * ln 2``."""
    return bits * math.log(2.0)


def bits_per_byte(loss_nats: Amount, *, bytes_per_token: Amount) -> Any:
    """Nats per token to bits per byte of UTF-8 text: ``loss / (ln 2 * bytes per token)``.

    The bytes per token are a property of tokenizer *and* text; take them from the evaluation set.

    Parameters
    ----------
    loss_nats : number, array, Series or expression
        Nats per token.
    bytes_per_token : the same
        Bytes of the evaluated text divided by its tokens.

    Raises
    ------
    DataError
        If `bytes_per_token` is not positive.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> round(sdb.units.bits_per_byte(2.0, bytes_per_token=4.2), 4)
    0.687
    """
    _need_positive(bytes_per_token=bytes_per_token)
    return loss_nats / (math.log(2.0) * bytes_per_token)


def nats_from_bits_per_byte(bpb: Amount, *, bytes_per_token: Amount) -> Any:
    """Bits per byte to nats per token; the reverse of :func:`bits_per_byte`."""
    _need_positive(bytes_per_token=bytes_per_token)
    return bpb * (math.log(2.0) * bytes_per_token)


def bits_per_character(loss_nats: Amount, *, characters_per_token: Amount) -> Any:
    """Nats per token to bits per character: ``loss / (ln 2 * characters per token)``.

    A character is a Unicode code point; in English text it is nearly always a byte, in other
    scripts two to four.
    """
    _need_positive(characters_per_token=characters_per_token)
    return loss_nats / (math.log(2.0) * characters_per_token)


def perplexity(loss_nats: Amount) -> Any:
    """Perplexity per token, ``exp(loss)``.

    The mean of per-document perplexities is another quantity (``perplexity_per_document`` here).
    """
    return np.exp(loss_nats)


def nats_from_perplexity(value: Amount) -> Any:
    """Nats per token of a perplexity per token.

    Raises
    ------
    DataError
        If a perplexity is not positive.
    """
    _need_positive(perplexity=value)
    return np.log(value)


# ---- parameters --------------------------------------------------------------------------------


def omega(vocab_size: Amount, aspect_ratio: Amount) -> Any:
    """Embedding parameters per cube root of body parameters, ``vocab_size * (aspect_ratio/12)**(1/3)``.

    A body of ``12 * n_layers * d_model**2`` parameters with ``d_model = aspect_ratio * n_layers`` has the
    width ``(N_body * aspect_ratio / 12)**(1/3)``, and an (untied, single) embedding is ``vocab_size`` times as large.

    References
    ----------
    Pearce and Song, arXiv:2406.12907, and their script.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> round(sdb.units.omega(32_000, 39.2), -2)
    47500.0
    """
    _need_positive(vocab_size=vocab_size, aspect_ratio=aspect_ratio)
    return vocab_size * (aspect_ratio / 12) ** (1 / 3)


def n_params_total(n_params_non_embedding: Amount, *, omega: float = OMEGA) -> Any:
    """Total parameters of a model whose body has so many: ``N + omega * N**(1/3)``.

    An average over shapes: exact only for bodies of the aspect ratio behind `omega`.

    Parameters
    ----------
    n_params_non_embedding : number, array, Series or expression
    omega : float
        From :func:`omega`; the default is that of the paper (vocabulary 32,000).

    References
    ----------
    Pearce and Song, arXiv:2406.12907.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> f"{sdb.units.n_params_total(1e9):.4g}"
    '1.047e+09'
    """
    _need_positive(n_params_non_embedding=n_params_non_embedding)
    return n_params_non_embedding + omega * n_params_non_embedding ** (1 / 3)


def n_params_non_embedding(n_params: Amount, *, omega: float = OMEGA) -> Any:
    """Parameters of the body of a model that has so many in all; the reverse of :func:`n_params_total`.

    The real root of ``x**3 + omega*x = n_params``, in closed form, is the cube root of what is sought.

    Raises
    ------
    DataError
        If `n_params` is not positive.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> f"{sdb.units.n_params_non_embedding(sdb.units.n_params_total(1e9)):.6g}"
    '1e+09'
    """
    _need_positive(n_params=n_params, omega=omega)
    angle = np.arcsinh(1.5 * n_params / omega * np.sqrt(3 / omega)) / 3
    root = 2 * np.sqrt(omega / 3) * np.sinh(angle)
    for _ in range(2):  # sinh of a long argument loses digits; two Newton steps bring them back
        root = root - (root**3 + omega * root - n_params) / (3 * root**2 + omega)
    return root**3


def n_params_body(
    n_layers: Amount, d_model: Amount, *, d_ff: Amount | None = None, d_attn: Amount | None = None
) -> Any:
    """Non-embedding parameters of a transformer, ``2 * d_model * n_layers * (2*d_attn + d_ff)``.

    With ``d_attn = d_model`` and ``d_ff = 4 * d_model``, which stand where they are not given, this is
    ``12 * n_layers * d_model**2``. Biases and norms are left out; a gated feed-forward layer has
    three matrices and is not this form.

    References
    ----------
    Kaplan et al., arXiv:2001.08361, eq. 2.1 and table 1.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> sdb.units.n_params_body(48, 1600)
    1474560000
    """
    _need_positive(n_layers=n_layers, d_model=d_model)
    wide = 4 * d_model if d_ff is None else d_ff
    attention = d_model if d_attn is None else d_attn
    return 2 * d_model * n_layers * (2 * attention + wide)


def n_params_open_lm(n_layers: Amount, d_model: Amount, *, vocab_size: Amount = 50_432) -> Any:
    """Parameters of Porian et al.'s models: body and output head, without the input embedding.

    ``(4*d_model + 3*d_ff) * d_model * n_layers + vocab_size * d_model``, where the gated feed-forward
    layer is ``8/3 * d_model`` wide, rounded up to a multiple of 256. ``vocab_size=0`` gives the body.

    References
    ----------
    Porian et al., arXiv:2406.19146; function ``precise_param_count_open_lm`` of their ``data.py``.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> int(sdb.units.n_params_open_lm(12, 768))
    123666432
    """
    _need_positive(n_layers=n_layers, d_model=d_model)
    d_ff = 256 * np.ceil(np.floor(8 * np.asarray(d_model) / 3) / 256)
    return (4 * d_model + 3 * d_ff) * d_model * n_layers + vocab_size * d_model


# ---- compute -----------------------------------------------------------------------------------


def flops_6nd(n_params: Amount, n_tokens: Amount) -> Any:
    """Training compute as ``6 * N * D``: two FLOP per parameter and token forward, four backward.

    Which N decides what it means: with total parameters it counts the look-up of the embedding as
    if it were a product, with body parameters it leaves out the head.

    References
    ----------
    Kaplan et al., arXiv:2001.08361, section 2.1 (N without embeddings); Hoffmann et al., arXiv:2203.15556, appendix F
    (N with them).

    Examples
    --------
    >>> import scalingdb as sdb
    >>> f"{sdb.units.flops_6nd(70e9, 1.4e12):.3g}"
    '5.88e+23'
    """
    _need_positive(n_params=n_params, n_tokens=n_tokens)
    return 6.0 * n_params * n_tokens


def flops_replay(n_params: Amount, n_tokens: Amount, replay_share: Amount) -> Any:
    """Compute of continued pretraining that mixes old tokens in, ``6 * N * D / (1 - share)``, D the new tokens.

    Replay pays for every new token with ``1 / (1 - share)`` tokens of training: a share of 0.5 costs as much as a model
    of twice the size.

    Parameters
    ----------
    n_params, n_tokens : float or array
        Parameters, and new tokens.
    replay_share : float or array
        Part of every batch that is drawn from old data, from 0 to below 1.

    Raises
    ------
    DataError
        If a number is not positive, or the share is not between 0 and 1.

    References
    ----------
    Abbes et al., arXiv:2508.01908, who count 1.33 and 2 times the FLOP per token for shares of 0.25 and 0.5.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> f"{sdb.units.flops_replay(1e9, 1e11, 0.25) / sdb.units.flops_6nd(1e9, 1e11):.2f}"
    '1.33'
    """
    _need_positive(n_params=n_params, n_tokens=n_tokens)
    share = np.asarray(replay_share, dtype=float)
    if not ((share >= 0) & (share < 1)).all():
        raise DataError(f"replay_share={replay_share!r} is not from 0 to below 1", "for example 0.25.")
    return flops_6nd(n_params, n_tokens) / (1.0 - replay_share)


def flops_kaplan(
    n_params_non_embedding: Amount, n_tokens: Amount, *, n_layers: Amount, n_ctx: Amount, d_attn: Amount
) -> Any:
    """Training compute of body and attention, ``3 * (2*N_body + 2*n_layers*n_ctx*d_attn) * D``.

    Neither embedding nor head is counted. The attention term is what ``6*N*D`` leaves out; it is small
    where ``d_model`` is much more than ``n_ctx / 12``.

    References
    ----------
    Kaplan et al., arXiv:2001.08361, eq. 2.2 (forward pass) and table 1; the backward pass is twice the forward.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> run = sdb.units.flops_kaplan(1.5e9, 1e10, n_layers=48, n_ctx=1024, d_attn=1600)
    >>> f"{run / sdb.units.flops_6nd(1.5e9, 1e10):.4f}"
    '1.0524'
    """
    _need_positive(n_params_non_embedding=n_params_non_embedding, n_tokens=n_tokens)
    _need_positive(n_layers=n_layers, n_ctx=n_ctx, d_attn=d_attn)
    forward = 2.0 * n_params_non_embedding + 2.0 * n_layers * n_ctx * d_attn
    return 3.0 * forward * n_tokens


def flops_hoffmann(
    n_tokens: Amount,
    *,
    n_layers: Amount,
    d_model: Amount,
    d_ff: Amount,
    n_heads: Amount,
    d_head: Amount,
    vocab_size: Amount,
    n_ctx: Amount,
) -> Any:
    """Training compute as Hoffmann et al. count it: every product, the embedding and the softmax included.

    A forward pass over a sequence is embedding ``2*s*V*d``, each layer's projections ``2*3*s*d*(k*h)``, logits
    ``2*s*s*(k*h)``, softmax ``3*h*s*s``, reduction ``2*s*s*(k*h)``, output ``2*s*(k*h)*d`` and feed-forward
    ``4*s*d*d_ff``, and the final logits ``2*s*d*V``; the backward pass is twice that. Attention is
    counted over the whole square, not over the causal half.

    Notes
    -----
    The paper prints the ratio to ``6*N*D`` for six models (table A4) and states neither sequence
    length nor vocabulary. With ``n_ctx=2048``, its N (table A9) and *without* the two products with the
    vocabulary (``vocab_size=0``) this function gives all six within 0.01; with them the ratio of the smallest
    model would be 1.6 instead of 1.03.

    References
    ----------
    Hoffmann et al., arXiv:2203.15556, appendix F.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> shape = {"n_layers": 28, "d_model": 2048, "d_ff": 8192, "n_heads": 16, "d_head": 128}
    >>> run = sdb.units.flops_hoffmann(1e9, **shape, n_ctx=2048, vocab_size=0)
    >>> round(run / sdb.units.flops_6nd(1593e6, 1e9), 2)
    1.03
    """
    _need_positive(n_tokens=n_tokens, n_layers=n_layers, d_model=d_model, d_ff=d_ff, n_heads=n_heads)
    _need_positive(d_head=d_head, n_ctx=n_ctx)
    inner = n_heads * d_head * 1.0
    attention = 8.0 * d_model * inner + 4.0 * n_ctx * inner + 3.0 * n_heads * n_ctx
    forward_per_token = 4.0 * vocab_size * d_model + n_layers * (attention + 4.0 * d_model * d_ff)
    return 3.0 * forward_per_token * n_tokens


def flops_porian(
    n_tokens: Amount,
    *,
    n_layers: Amount,
    d_model: Amount,
    n_ctx: Amount = 2048,
    vocab_size: Amount = 50_432,
    count: str = "standard",
) -> Any:
    """Training compute under the three counts that Porian et al. compare, for models of their shape.

    Parameters
    ----------
    n_tokens, n_layers, d_model, n_ctx, vocab_size
        The defaults are those of the authors' runs.
    count : {"standard", "kaplan", "attention"}
        ``standard``: six per parameter of body and head. ``kaplan``: six per parameter of the
        body, without the head. ``attention``: standard, and ``6 * n_layers * n_ctx * d_model`` per token.

    Raises
    ------
    DataError
        If `count` is none of the three.

    References
    ----------
    Porian et al., arXiv:2406.19146; function ``process_big_df`` of their ``data.py``.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> shape = {"n_layers": 4, "d_model": 256}
    >>> counted = [sdb.units.flops_porian(1e9, **shape, count=c) for c in ("kaplan", "standard", "attention")]
    >>> [f"{float(value):.3g}" for value in counted]
    ['2.04e+16', '9.79e+16', '1.1e+17']
    """
    if count not in {"standard", "kaplan", "attention"}:
        raise DataError(f"count={count!r} is none of the three", "take 'standard', 'kaplan' or 'attention'.")
    _need_positive(n_tokens=n_tokens, n_ctx=n_ctx, vocab_size=vocab_size)
    n = n_params_open_lm(n_layers, d_model, vocab_size=0 if count == "kaplan" else vocab_size)
    attention = n_layers * n_ctx * d_model if count == "attention" else 0.0
    return 6.0 * (n + attention) * n_tokens


def flops_step_law(
    n_params_non_embedding: Amount, n_tokens: Amount, *, n_layers: Amount, d_model: Amount, n_ctx: Amount
) -> Any:
    """Training compute of the Step Law's runs, ``(6*N_body + 12*n_layers*d_model*n_ctx) * D``.

    For a mixture of experts N is what is active. Attention is counted over the whole square.

    Notes
    -----
    Read off the released table: its FLOP per token equal this form exactly for all four shapes
    of the mixtures of experts (columns ``M``, ``Na``, ``numl``, ``h``, ``seq_len``).

    References
    ----------
    Li et al., arXiv:2503.04715, data release.
    """
    _need_positive(n_params_non_embedding=n_params_non_embedding, n_tokens=n_tokens)
    _need_positive(n_layers=n_layers, d_model=d_model, n_ctx=n_ctx)
    return (6.0 * n_params_non_embedding + 12.0 * n_layers * d_model * n_ctx) * n_tokens


def flops_farseer(
    n_params_non_embedding: Amount, n_tokens: Amount, *, n_layers: Amount, d_model: Amount, n_ctx: Amount
) -> Any:
    """Training compute of Farseer's runs, ``(6*N_body + 12*n_layers*d_model*(n_ctx - 1)) * D``.

    As :func:`flops_step_law`, with one position less: a sequence of ``n_ctx`` tokens has ``n_ctx - 1`` targets.

    Notes
    -----
    Read off the released table: its FLOP per token equal this form exactly for the 404 runs of the fit;
    for the seven validation runs they are ``333 * n_layers * d_model`` more (0.08 to 0.18 %).

    References
    ----------
    Li et al., arXiv:2506.10972, data release.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> sdb.units.flops_farseer(201228288, 1.0, n_layers=16, d_model=1024, n_ctx=2048)
    1609826304.0
    """
    return flops_step_law(n_params_non_embedding, n_tokens, n_layers=n_layers, d_model=d_model, n_ctx=n_ctx - 1)


def pf_days(flops: Amount) -> Any:
    """FLOP to petaFLOP/s-days, the unit of Kaplan et al. and Henighan et al.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> sdb.units.pf_days(8.64e19)
    1.0
    """
    return flops / FLOP_PER_PF_DAY


def pf_days_to_flop(days: Amount) -> Any:
    """PetaFLOP/s-days to FLOP."""
    return days * FLOP_PER_PF_DAY


# ---- tokens and characters -----------------------------------------------------------------------


def n_tokens(n_characters: Amount, *, characters_per_token: Amount) -> Any:
    """Tokens of a text of so many characters."""
    _need_positive(characters_per_token=characters_per_token)
    return n_characters / characters_per_token


def n_characters(n_tokens: Amount, *, characters_per_token: Amount) -> Any:
    """Characters of a text of so many tokens."""
    _need_positive(characters_per_token=characters_per_token)
    return n_tokens * characters_per_token


def tokens_per_character(vocab_size: Amount) -> Any:
    """Tokens per character as a function of the vocabulary: a parabola in ``ln V``, for BPE on English web text.

    ``0.00639222*ln(V)**2 - 0.15811069*ln(V) + 1.20470122``, with V taken as 200,000 where it is larger.

    Raises
    ------
    DataError
        If a vocabulary is not positive.

    References
    ----------
    Tao et al., arXiv:2407.13623, section 3.1 and the authors' code.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> round(1 / float(sdb.units.tokens_per_character(32_000)), 2)
    3.96
    """
    _need_positive(vocab_size=vocab_size)
    log_v = np.log(vocab_size).clip(upper_bound=math.log(2e5)) if hasattr(vocab_size, "meta") else None
    if log_v is None:
        log_v = np.log(np.minimum(np.asarray(vocab_size, dtype=float), 2e5))
    return 0.00639222 * log_v**2 - 0.15811069 * log_v + 1.20470122


tell(globals())
