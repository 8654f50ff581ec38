"""The public reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from scalingdb._arguments import told
from scalingdb.errors import DataError
from scalingdb.notices import argument, notice
from scalingdb.reading._measured import Measured, Options, last_rows, read, without_flagged

__all__ = ["read_measured", "read_runs"]


@told
def read_runs(
    what: Any,
    mapping: Mapping[str, str] | None = None,
    *,
    unit: str | None = None,
    metric: str = "loss",
    eval_set: str | None = None,
    models: Any = None,
    scale: Mapping[str, float] | None = None,
    where: str | None = None,
    tasks: Sequence[str] | None = None,
    tokens_per_step: float | None = None,
    decimal: str | None = None,
    curves: bool = False,
    flagged: bool = False,
) -> pl.DataFrame:
    """Your own results as a frame that is ready for :func:`scalingdb.fit`.

    What was recognised, taken, converted and left out is said in a few lines.

    Parameters
    ----------
    what : path, list of paths, folder, or any dataframe
        Training logs (W&B run tables, chart exports and histories, TensorBoard CSV, ``trainer_state.json``,
        JSON lines), evaluation results (lm-evaluation-harness, Inspect, HELM, OpenCompass, Every Eval Ever),
        tables of scores, or any CSV, Parquet or JSON table. The content decides, not the file's name. In a folder,
        names that begin with a dot are left out, and links to folders are not followed.
    mapping : mapping of str to str, optional
        Name here to column of the table: ``{"n_params": "Params", "n_tokens": "Tokens", "loss": "val_loss"}``.
        ``N``, ``D``, ``C`` and ``L`` stand for ``n_params``, ``n_tokens``, ``train_flops`` and ``loss``. Any other
        name is taken as a knob of yours. As soon as a measured column is mapped, no other one is taken.
    unit : str, optional
        Unit of the measured values (``nats_per_token``, ``bits_per_byte``, ``fraction``, ``percent`` ...).
        Without it the unit of a loss stays unknown, which is said.
    metric : str
        What the column mapped to ``loss`` or ``value`` measures.
    eval_set : str, optional
        Text or task that it was measured on; by default every measured column is its own.
    models : frame or path, optional
        Sizes, tokens and compute by model: joined on ``model_name``. A name such as ``my-125m`` is never
        turned into a count.
    scale : mapping of str to float, optional
        Factors to the units here: ``{"n_params": 1e9}``.
    where : str, optional
        SQL condition on the columns of the table: ``"State = 'finished'"``.
    tasks : sequence of str, optional
        Columns of a wide table that are scores of one task each.
    tokens_per_step : float, optional
        Batch size in tokens: gives ``n_tokens`` to logs that count steps.
    decimal : {".", ","}, optional
        What a comma means, where a column could be read both ways.
    curves : bool
        Keep every checkpoint. By default the last value of each run, metric and evaluation set.
    flagged : bool
        Keep rows that a check flagged (crashed or duplicated runs ...), with ``flag`` and ``flag_reason``.

    Returns
    -------
    DataFrame
        One row per run (or checkpoint) and measured value: ``run_id, model_name``, the inputs and knobs,
        ``loss`` or ``score``, ``value, metric, unit, eval_set, split``, and ``raw_file, raw_row, raw_field``.
        Numbers are floats; seeds, shots and knobs that a float would round (beyond 2 ** 53) are whole numbers, and
        knobs that are larger still are text.

    Raises
    ------
    DataError
        If nothing usable is there, a cell is not a number, a step or seed would be rounded, two columns could be the
        loss or have one name, a folder holds more than 50,000 files, or every answer drawn from the rows would be
        nonsense (counts in millions, perplexity as nats, per cent as shares).
    UnknownNameError
        For a column, metric or unit that does not exist.
    WarehouseError
        If a file does not exist, or it or a folder may not be read.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> runs = {"run": ["a", "b"], "params": ["125M", "1.3B"], "tokens": [2.5e9, 2.6e10], "val_loss": [3.61, 2.74]}
    >>> frame = sdb.read_runs(runs, unit="nats_per_token")
    >>> frame.select("run_id", "n_params", "loss").rows()
    [('a', 125000000.0, 3.61), ('b', 1300000000.0, 2.74)]
    """
    if tasks is not None and not len(tasks):
        raise DataError("tasks names no column", "leave it out, or name those of the scores.")
    options = Options(
        dict(mapping or {}), unit, metric, eval_set, dict(scale or {}), models, where, tasks, tokens_per_step, decimal
    )
    measured = read_measured(what, options, curves=curves, flagged=flagged)
    notice(str(measured.report))
    return measured.frame


def read_measured(what: Any, options: Options, *, curves: bool, flagged: bool) -> Measured:
    """As :func:`read_runs`, with the report, items and hashes beside the frame."""
    measured = read(what, options)
    if not flagged:
        measured = without_flagged(measured)
    if measured.frame.is_empty():
        raise DataError(
            f"no row is left\n{measured.report}", f"{argument(flagged=True)} keeps rows that a check left out."
        )
    frame = measured.frame if curves else last_rows(measured.frame)
    if frame.height < measured.frame.height:
        measured.report.taken.append(
            f"the last row of each run, {frame.height:,} of {measured.frame.height:,} "
            f"({argument(curves=True)} keeps all)"
        )
    return replace(measured, frame=frame)
