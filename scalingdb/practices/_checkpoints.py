"""Which checkpoints of the small models to fit: all or the last, and how many of the first to leave out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from scalingdb.errors import DataError
from scalingdb.law_library import Law, get_law
from scalingdb.practices._core import ARM, NO_LAW, Practice, judged, read, unscaled

__all__ = ["checkpoints_or_finals", "drop_first_tokens"]

FINAL_LAW = "power_offset"
"""``E + A / N**alpha``: what final losses can fix where all runs have seen equally many tokens."""


def checkpoints_or_finals(
    curves: pl.DataFrame | pl.LazyFrame,
    law: str | Law = "chinchilla",
    *,
    by: str = "family",
    scale: str = "n_params",
    tokens: str = "n_tokens",
    output: str = "loss",
    run: str = "run_id",
    unit: str | None = None,
    shares: Sequence[float] = (0.9, 0.5, 0.1),
    tail: float = 0.0,
    checkpoints: int = 50,
    rng: int = 0,
    **options: Any,
) -> Practice:
    """Try whether it helps to fit intermediate checkpoints, and not just final losses.

    Parameters
    ----------
    curves : DataFrame
        One row per checkpoint, as :meth:`Warehouse.curves` returns it.
    by, scale, tokens, output, run : str
        Columns that name the family, the model size N, the tokens seen D, the loss and the run.
    unit : str, optional
        Column of what counts as one independent set of models, if families share models or data;
        the bootstrap draws units. Families by default.
    shares : sequence of float
        Parts of each run that are fitted, counted from its end.
    tail : float
        Share of the largest model's tokens that judges. The default, 0, is its last checkpoint:
        laws of final losses know no other.
    checkpoints : int
        Rows kept of a run at most.
    **options
        As for :func:`scalingdb.fit`.

    Returns
    -------
    Practice
        Arms: each share, ``"final losses"`` (the same law on the last row of every run) and
        ``"final losses, law in N alone"`` (``E + A/N**alpha``), and the forecast without a law.
        The first share is the baseline.

    Raises
    ------
    DataError, UnknownNameError
        If columns are missing or hold bad values, or no family has two sizes.

    References
    ----------
    Choshen et al., arXiv:2410.11840 (intermediate checkpoints).

    Examples
    --------
    >>> import scalingdb as sdb
    >>> from scalingdb import practices
    >>> curves = practices.corpus(sdb.connect()).filter(pl.col("unit").is_in(["gpt3", "gemstones", "routed"]))
    >>> practices.checkpoints_or_finals(curves, unit="unit", checkpoints=20).tidy()["arm"][0]
    'last 90 % of each run'
    """
    if not shares or any(not 0 < share <= 1 for share in shares):
        raise DataError(f"shares={tuple(shares)!r} are not parts of a run", "give values above 0, up to 1: (1, 0.5).")
    families = read(
        curves,
        law,
        by=by,
        scale=scale,
        tokens=tokens,
        output=output,
        run=run,
        unit=unit,
        tail=tail,
        checkpoints=checkpoints,
    )
    small = families.small
    labels = ["all of each run" if share == 1 else f"last {100 * share:g} % of each run" for share in shares]
    last = pl.col("d") == pl.col("d").max().over("family", "run")
    parts = [
        small.filter(last if share < 1e-9 else (pl.col("share") > 1 - share) | last).with_columns(
            pl.lit(label).alias(ARM)
        )
        for share, label in zip(shares, labels, strict=True)
    ]
    finals = small.filter(last)
    same, alone = "final losses", "final losses, law in N alone"
    rows = [
        judged(families, pl.concat([*parts, finals.with_columns(pl.lit(same).alias(ARM))]), **options),
        judged(
            families,
            finals.with_columns(pl.lit(alone).alias(ARM)),
            law=get_law(FINAL_LAW),
            inputs={"n_tokens": "n"},
            **options,
        ),
        unscaled(families),
    ]
    return Practice(
        pl.concat(rows, how="diagonal_relaxed"),
        (*labels, same, alone, NO_LAW),
        labels[0],
        "Checkpoints or final losses",
        rng,
    )


def drop_first_tokens(
    curves: pl.DataFrame | pl.LazyFrame,
    law: str | Law = "chinchilla",
    *,
    by: str = "family",
    scale: str = "n_params",
    tokens: str = "n_tokens",
    output: str = "loss",
    run: str = "run_id",
    unit: str | None = None,
    cuts: Sequence[float] = (0.0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5),
    of: str = "run",
    tail: float = 0.3,
    checkpoints: int = 50,
    rng: int = 0,
    **options: Any,
) -> Practice:
    """Try how much of the beginning of each run should be left out of a fit.

    Parameters
    ----------
    cuts : sequence of float
        What is left out: shares of each run, or tokens.
    of : {"run", "tokens"}
        What `cuts` count.
    tail : float
        Share of the largest model's tokens that judges, from the end: the guide's measure takes 0.3.

    The other parameters are those of :func:`checkpoints_or_finals`.

    Returns
    -------
    Practice
        One arm per cut; the first is the baseline. An arm that leaves a family too few rows has no fit there.

    Raises
    ------
    DataError, UnknownNameError
        As :func:`checkpoints_or_finals`.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> from scalingdb import practices
    >>> curves = practices.corpus(sdb.connect()).filter(pl.col("unit") == "opt")
    >>> practices.drop_first_tokens(curves, cuts=(0, 1e10), of="tokens").rows["n_rows"].to_list()
    [112, 101]
    """
    if of not in {"run", "tokens"}:
        raise DataError(f"of={of!r} is not what cuts can count", 'of="run" for shares, of="tokens" for tokens.')
    if not cuts or any(cut < 0 or (of == "run" and cut >= 1) for cut in cuts):
        raise DataError(f"cuts={tuple(cuts)!r} cannot be left out", "shares lie from 0 to below 1, tokens from 0.")
    families = read(
        curves,
        law,
        by=by,
        scale=scale,
        tokens=tokens,
        output=output,
        run=run,
        unit=unit,
        tail=tail,
        checkpoints=checkpoints,
    )
    column = "share" if of == "run" else "d"
    labels = [
        "nothing left out" if not cut else f"first {100 * cut:g} %" if of == "run" else f"first {cut / 1e9:g}B tokens"
        for cut in cuts
    ]
    parts = [
        families.small.filter(pl.col(column) > cut).with_columns(pl.lit(label).alias(ARM))
        for cut, label in zip(cuts, labels, strict=True)
    ]
    rows = judged(families, pl.concat(parts), **options)
    return Practice(rows, tuple(labels), labels[0], "Leaving out the beginning of every run", rng)
