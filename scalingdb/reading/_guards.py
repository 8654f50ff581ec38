"""What is wrong with a set of runs more often than people think: each guard looks for one thing.

A guard that proves rows unusable flags them, and flagged rows are left out unless the caller asks for them; one that
only raises a suspicion says so. What would make every later answer nonsense is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import polars as pl

from scalingdb.errors import DataError
from scalingdb.notices import argument
from scalingdb.reading._report import Remark, listed
from scalingdb.schema import METRICS

__all__ = ["FROM_ROWS", "GUARDS", "NOT_FROM_ROWS", "guard"]

UNFINISHED = {
    *("crashed", "failed", "killed", "running", "preempting", "preempted", "pending", "error", "cancelled", "canceled"),
    *("timeout", "timed_out", "out_of_memory", "oom", "node_fail", "aborted", "interrupted", "diverged", "nan"),
}
FINISHED = {"finished", "completed", "complete", "success", "succeeded", "successful", "done", "ok", "converged"}
"""States of runs, in lower case with underscores, as W&B, Slurm and people call them."""

LOG_CAPS = (500, 1000, 1500, 5000, 10000)
"""Rows at which tools cap or sample a log."""

ROUND_GAPS = [float(g) for k in range(7) for g in (10**k, 2 * 10**k, 5 * 10**k, 25 * 10**k, 2**k, 2 ** (k + 7))]
"""Steps between two rows that a person chooses."""


NOT_SETTINGS = {"value", "loss", "score", "std_error", "raw_row", "n_items"}


def _names(frame: pl.DataFrame, mask: pl.Series) -> str:
    rows = mask.arg_true()
    names = frame["run_id"].gather(rows) if "run_id" in frame.columns else rows
    return listed(dict.fromkeys(names))


def _remark(frame: pl.DataFrame, mask: pl.Series, check: str, text: str, *, flags: bool = False) -> Iterator[Remark]:
    mask = mask.fill_null(False)
    if mask.any():
        yield Remark(check, text.format(n=int(mask.sum()), rows=_names(frame, mask)), tuple(mask.arg_true()), flags)


def _series(frame: pl.DataFrame) -> list[str]:
    """Columns that tell the measurements of a run apart."""
    return [name for name in ("metric", "eval_set", "split", "n_shots") if name in frame.columns]


def _is_loss(frame: pl.DataFrame) -> pl.Series:
    """Rows on a continuous scale; error rates are shares of a number of items, and repeat by chance."""
    losses = [name for name, metric in METRICS.items() if metric.kind == "loss" and "fraction" not in metric.units]
    return frame["metric"].is_in(losses)


def _digits(values: pl.Series) -> pl.Series:
    """Significant digits that each value was written with."""
    text = values.round_sig_figs(12).cast(pl.String).str.replace_all(r"e.*$|[.-]", "").str.strip_chars_end("0")
    return text.str.strip_chars_start("0").str.len_chars()


def unfinished(frame: pl.DataFrame) -> Iterator[Remark]:
    """Runs that crashed or still run, by their own state."""
    if "state" not in frame.columns:
        return
    state = frame["state"].cast(pl.String).str.to_lowercase().str.replace_all(r"[\s-]+", "_")
    mask = state.is_in(list(UNFINISHED))
    yield from _remark(frame, mask, "unfinished", "{n} row(s) of runs that did not finish: {rows}", flags=True)
    unknown = state.is_not_null() & ~state.is_in([*UNFINISHED, *FINISHED])
    names = listed(frame["state"].filter(unknown).unique(maintain_order=True))
    text = f"{{n}} row(s) stay in with a state that says neither finished nor failed ({names}): {{rows}}"
    yield from _remark(frame, unknown, "state", text)


def _before_plan(frame: pl.DataFrame) -> pl.Series:
    if not {"reached", "planned"} <= set(frame.columns):
        return pl.Series([False]).new_from_index(0, frame.height)
    reached = frame.select(pl.col("reached").max().over("run_id")).to_series()  # checkpoints have states of their own
    return ((frame["planned"] > 0) & (reached < 0.9 * frame["planned"])).fill_null(False)


def before_plan(frame: pl.DataFrame) -> Iterator[Remark]:
    """Runs far short of the length that they planned."""
    text = "{n} row(s) of runs that stopped before their plan: {rows}"
    yield from _remark(frame, _before_plan(frame), "short", text, flags=True)


def stopped_short(frame: pl.DataFrame) -> Iterator[Remark]:
    """Runs far short of the length that nearly all others have."""
    told = _before_plan(frame)
    if "step" not in frame.columns or "run_id" not in frame.columns:
        return
    last = frame.group_by("run_id").agg(pl.col("step").max()).drop_nulls()
    if last.height < 4:
        return
    typical = float(last["step"].median())  # type: ignore[arg-type]
    if typical > 0 and ((last["step"] / typical - 1).abs() < 0.02).mean() >= 0.6:  # type: ignore[operator]
        short = last.filter(pl.col("step") < 0.5 * typical)["run_id"]
        mask = frame["run_id"].is_in(short.implode()) & ~told
        text = f"{{n}} row(s) of runs that stopped far short of step {typical:g}, where most end: {{rows}}"
        yield from _remark(frame, mask, "short", text, flags=True)
    elif "n_tokens" in frame.columns and last.height == frame["run_id"].n_unique() == frame.height:
        # lengths differ by design, but tokens per step do not: a run of too few steps did not see its tokens
        per_step = frame["n_tokens"] / frame["step"]
        batch = float(per_step.filter(per_step.is_finite().fill_null(False)).median() or 0)  # type: ignore[arg-type]
        if batch > 0 and ((per_step / batch - 1).abs() < 0.02).mean() >= 0.6:  # type: ignore[operator]
            text = f"{{n}} row(s) with far fewer steps than their tokens take at {batch:,.0f} a step: {{rows}}"
            short_of = per_step > 2 * batch
            if "state" not in frame.columns:
                yield from _remark(frame, short_of, "short", text, flags=True)
            else:  # a run that says that it finished had a larger batch
                yield from _remark(frame, short_of, "short", text)


def ended_badly(frame: pl.DataFrame) -> Iterator[Remark]:
    """Runs whose last values are far above their best, and logs that repeat one value to their end."""
    if not {"run_id", "step"} <= set(frame.columns):
        return
    keys = ["run_id", *_series(frame)]
    value = pl.col("value")
    in_nats = (frame["metric"] == "loss") & (frame["unit"].is_null() | (frame["unit"] == "nats_per_token"))
    ends = (
        frame.filter(in_nats & frame["value"].is_not_null() & frame["step"].is_not_null())
        .sort("step")
        .group_by(keys, maintain_order=True)
        .agg(n=pl.len(), best=value.min(), last=value.last(), tail=value.tail(5).n_unique(), distinct=value.n_unique())
    )
    rose = (pl.col("last") > 1.5 * pl.col("best")) & (pl.col("last") > pl.col("best") + 2)
    bad = ends.filter((pl.col("n") >= 5) & rose)
    if bad.height:
        rows = bad.select("run_id", "best", "last").rows()
        places = [f"{run} ({last:.3g} after {best:.3g})" for run, best, last in rows]
        mask = frame["run_id"].is_in(bad["run_id"].unique().implode()) & in_nats
        text = f"{{n}} row(s) of runs that ended far above their best value: {listed(places)}"
        yield from _remark(frame, mask, "diverged", text, flags=True)
    long = _digits(ends["last"]) >= 4  # rounded values repeat at the end of a flat curve
    frozen = ends.filter((pl.col("n") >= 10) & (pl.col("tail") == 1) & (pl.col("distinct") > 3) & long)
    if frozen.height:
        runs = listed(frozen["run_id"].unique(maintain_order=True))
        yield Remark("frozen", f"the last five values or more are the same, as if the log had stopped: {runs}")


SUMMARIES = ("mean", "average", "avg", "median", "total", "sum", "std", "sd", "stdev", "overall", "min", "max")
"""Names of rows that summarise a table."""


def summaries(frame: pl.DataFrame) -> Iterator[Remark]:
    """Rows below a table that sum it up."""
    if "run_id" not in frame.columns or frame["run_id"].n_unique() < 4:
        return
    mask = frame["run_id"].str.to_lowercase().str.strip_chars(" .:()").is_in(list(SUMMARIES))
    yield from _remark(frame, mask, "summary", "{n} row(s) sum up the others by their name: {rows}", flags=True)


def missing_inputs(frame: pl.DataFrame) -> Iterator[Remark]:
    """Runs without the size or the tokens that nearly all others have."""
    kinds = frame["metric"].replace_strict({m.name: m.kind for m in METRICS.values()}, default=None)
    if "step" in frame.columns or not (kinds == "loss").all():
        return
    for name in ("n_params", "n_params_non_embedding", "n_tokens"):
        if name in frame.columns and 0 < frame[name].null_count() < 0.5 * frame.height:
            text = f"{{n}} row(s) without {name}: {{rows}}"
            yield from _remark(frame, frame[name].is_null(), "missing", text, flags=True)


def unplaced(frame: pl.DataFrame) -> Iterator[Remark]:
    """Rows of a curve that do not say where on it they lie, though its other rows do: the last value may be any."""
    places = [name for name in ("n_tokens", "n_examples", "step") if name in frame.columns]
    if "run_id" not in frame.columns or not places:
        return
    curve = ["run_id", *_series(frame)]
    # a curve goes by the first of these that any of its rows has
    bare = pl.lit(False)
    for name in reversed(places):
        bare = pl.when(pl.col(name).count().over(curve) > 0).then(pl.col(name).is_null()).otherwise(bare)
    mask = frame.select(bare.alias("bare")).to_series()
    text = f"{{n}} row(s) without {' or '.join(places)} on curves whose other rows have them: {{rows}}"
    yield from _remark(frame, mask, "unplaced", text, flags=True)


def _copies(frame: pl.DataFrame, unit: list[str], same: list[str], long: pl.Series, far: pl.Expr) -> pl.Series:
    """Rows of units (runs, checkpoints) of which nearly every value stands in one earlier unit as well.

    A share of so many items may repeat by chance, a continuous value hardly: shares count when there are five.
    """
    rows = frame.with_row_index("row").with_columns(continuous=_is_loss(frame), long=long)
    size = pl.len().over(*unit, "continuous")
    rows = rows.with_columns(size=size, unit=pl.struct(unit).rank("dense"))
    rows = rows.filter("long").select({*same, "step"} & set(rows.columns) | {"continuous", "row", "unit", "size"})
    pairs = rows.join(rows, on=[*same, "continuous"], suffix="_earlier", nulls_equal=True)
    pairs = pairs.filter((pl.col("row_earlier") < pl.col("row")) & (pl.col("unit_earlier") != pl.col("unit")) & far)
    copied = pairs.filter(
        (pl.len().over("unit", "unit_earlier", "continuous") > 0.8 * pl.col("size"))
        & (pl.col("continuous") | (pl.col("size") >= 5))
    )
    return pl.Series(range(frame.height)).is_in(copied["row"].unique().implode())


def duplicated(frame: pl.DataFrame) -> Iterator[Remark]:
    """Runs with the same inputs and the same values to the last digit."""
    inputs = [name for name in ("n_params", "n_tokens", "train_flops", "step") if name in frame.columns]
    if len(inputs) < 2 or "run_id" not in frame.columns:
        return
    known = frame.select(pl.all_horizontal(pl.col(*inputs, "value").is_not_null())).to_series()
    keys = [*inputs, "value", *_series(frame)]
    digits = _digits(frame["value"])
    # four or five digits may agree by chance, as in a sweep over learning rates: then all knobs must be equal too
    settings = [name for name, kind in frame.schema.items() if kind.is_numeric() and name not in NOT_SETTINGS]
    alike = frame.select(
        pl.all_horizontal(pl.col(*settings).eq_missing(pl.col(*settings).first().over(keys)))
    ).to_series()
    long = known & ((digits >= 6) | ((digits >= 4) & alike))
    mask = _copies(frame, ["run_id"], keys, long, pl.lit(value=True))
    # a run of which every telling row is a copy is a copy: also where it has values of few digits
    rows = pl.DataFrame({"run": frame["run_id"], "copied": mask, "long": long})
    mask |= rows.select(((pl.col("copied") | ~pl.col("long")).all() & pl.col("copied").any()).over("run")).to_series()
    yield from _remark(frame, mask, "duplicate", "{n} row(s) repeat another run to the last digit: {rows}", flags=True)


def repeated_value(frame: pl.DataFrame) -> Iterator[Remark]:
    """Checkpoints at distant steps with the same values: two evaluations of the same weights."""
    if not {"run_id", "step"} <= set(frame.columns):
        return
    keys = ["run_id", *_series(frame)]
    n = frame.select(pl.len().over(keys)).to_series()
    # the longer the curve, the more digits it takes to rule out chance; a log of every step repeats values by chance
    long = frame["step"].is_not_null() & (n <= 200) & (_digits(frame["value"]) >= (4 + 2 * (n / 3).log10()).clip(5))
    far = pl.max_horizontal("step", "step_earlier") > 1.5 * pl.min_horizontal("step", "step_earlier")
    mask = _copies(frame, ["run_id", "step"], [*keys, "value"], long, far)
    yield from _remark(frame, mask, "repeated", "{n} row(s) repeat the value of a distant step of their run: {rows}")


def alternating(frame: pl.DataFrame) -> Iterator[Remark]:
    """A curve that jumps up and down at every row: training and validation values in one column."""
    if not {"run_id", "step"} <= set(frame.columns):
        return
    keys = ["run_id", *_series(frame)]
    value = pl.col("value")
    turns = (value.diff().drop_nulls() > 0).cast(pl.Int8).diff().drop_nulls() != 0
    curves = (
        frame.filter(
            _is_loss(frame) & frame["value"].is_not_null() & (frame.select(pl.len().over(keys)).to_series() >= 12)
        )
        .sort("step")
        .group_by(keys, maintain_order=True)
        .agg(n=pl.len(), turns=turns.mean(), step=value.diff().abs().median(), pair=value.diff(2).abs().median())
    )
    # far from row to row, hardly over two rows: what two interleaved curves look like
    found = curves.filter((pl.col("n") >= 12) & (pl.col("turns") > 0.9) & (pl.col("step") > 3 * pl.col("pair")))
    for run in found["run_id"]:
        yield Remark("alternating", f"run {run}: values alternate at every row, as if two curves were in one column")


def capped(frame: pl.DataFrame) -> Iterator[Remark]:
    """Logs that a tool sampled: a round number of rows for many more steps."""
    if not {"run_id", "step"} <= set(frame.columns):
        return
    counts = frame.group_by("run_id", *_series(frame)).agg(
        n=pl.len(),
        last=pl.col("step").max(),
        gaps=pl.col("step").sort().diff().n_unique(),
        gap=pl.col("step").sort().diff().median(),
    )
    # people log every 10 or 64 steps; no one chooses every 14
    uneven = (pl.col("gaps") > 2) | ~pl.col("gap").is_in(ROUND_GAPS)
    runs = counts.filter(pl.col("n").is_in(LOG_CAPS) & (pl.col("last") > 1.5 * pl.col("n")) & uneven)
    for row in runs.unique("run_id").iter_rows(named=True):
        yield Remark(
            "sampled", f"run {row['run_id']}: {row['n']} rows for {row['last']:,.0f} steps, as if the log was sampled"
        )


def starts_late(frame: pl.DataFrame) -> Iterator[Remark]:
    """A resumed run, whose log begins where others are half-way."""
    if not {"run_id", "step"} <= set(frame.columns):
        return
    ends = frame.group_by("run_id").agg(first=pl.col("step").min(), last=pl.col("step").max(), n=pl.len())
    ends = ends.filter((pl.col("n") > 2) & pl.col("first").is_not_null())
    late = ends.filter(pl.col("first") > 0.2 * pl.col("last"))
    if ends.is_empty():
        return
    if ends.height == 1:  # nothing to compare with: a log that begins after most of it would have passed
        late = ends.filter(pl.col("first") > 0.5 * pl.col("last"))
    elif ends.height > 2 and late.height >= 0.5 * ends.height:
        return
    else:  # a sweep that is logged every 500 steps begins at step 500
        late = late.filter(pl.col("first") > 3 * float(ends["first"].min()))  # type: ignore[arg-type]
    if late.height:
        yield Remark("resumed", f"run(s) whose log begins late, as after a restart: {listed(late['run_id'])}")


def counts(frame: pl.DataFrame) -> Iterator[Remark]:
    """Parameters and tokens in thousands or millions, declared as counts."""
    few, many = {}, {}
    bounds = {"n_params": (1e4, 1e14), "n_tokens": (1e6, 1e16)}
    for name, (least, most) in bounds.items():
        if name in frame.columns and frame[name].count():
            typical = float(frame[name].median())  # type: ignore[arg-type]
            step_zero = "step" in frame.columns and name == "n_tokens"
            if 0 < typical < least and not (step_zero and float(frame[name].max()) >= least):  # type: ignore[arg-type]
                few[name] = typical
            elif typical > most:
                many[name] = typical
    if "train_flops" in frame.columns and frame["train_flops"].count():
        typical = float(frame["train_flops"].median())  # type: ignore[arg-type]
        if 0 < typical < 1e9:
            raise DataError(
                f"train_flops has a median of {typical:g}, and no model trains on so few: it counts in another unit",
                f"give the factor: {argument(scale={'train_flops': 8.64e19})} for PF-days, 1e18 for exaFLOP, "
                "1e21 for zettaFLOP.",
            )
    if few:
        said = " and ".join(f"{name} has a median of {typical:g}" for name, typical in few.items())
        in_millions = {"n_params": 10, "n_tokens": 1e5}  # smaller counts are billions
        factors = argument(scale={name: 1e6 if few[name] >= in_millions[name] else 1e9 for name in few})
        raise DataError(
            f"{said}, which no language model has: it seems to count in thousands, millions or billions",
            f"give the factor, 1e6 for millions, 1e9 for billions; it may be {factors}.",
        )
    if many:
        said = " and ".join(f"{name} has a median of {typical:g}" for name, typical in many.items())
        raise DataError(
            f"{said}, which no language model has", f"was it multiplied twice, by a suffix and by {argument('scale')}?"
        )
    if "n_params" in frame.columns:
        n = frame["n_params"]
        yield from _remark(frame, n <= 0, "parameters", "{n} row(s) with no parameters or fewer: {rows}", flags=True)
        typical = float(n.median() or 0)  # type: ignore[arg-type]
        if typical >= 1e6:
            text = f"{{n}} row(s) with fewer than 10,000 parameters, where the median is {typical:.3g}: {{rows}}"
            yield from _remark(frame, (n > 0) & (n < 1e4), "parameters", text, flags=True)
    if "n_tokens" in frame.columns:
        d = frame["n_tokens"]
        none = d < 0 if "step" in frame.columns else d <= 0  # a curve may begin at zero
        yield from _remark(frame, none, "tokens", "{n} run(s) with no tokens: {rows}", flags=True)
    if {"n_params", "n_tokens"} <= set(frame.columns):
        ratio = frame["n_tokens"] / frame["n_params"]
        ratio = ratio.set(frame["n_params"] <= 0, None)
        known = ratio.drop_nulls()
        if len(known) and float((known < 1).mean()) > 0.5:  # type: ignore[arg-type]
            yield Remark(
                "ratio",
                f"{int((known < 1).sum())} of {len(known)} rows have fewer tokens than parameters: check the units",
            )
        if "step" not in frame.columns and len(known) >= 4:
            usual = known.filter(known >= 0.01)
            middle = float(usual.median() or 0)  # type: ignore[arg-type]
            if len(usual) >= 0.4 * len(known) and middle >= 1:
                text = (
                    f"{{n}} row(s) have fewer than 0.01 tokens per parameter, where others have {middle:.3g}: "
                    "counted in another unit? {rows}"
                )
                yield from _remark(frame, (ratio < 0.01) & (frame["n_tokens"] > 0), "tokens", text, flags=True)
        text = "{n} row(s) have more than 100,000 tokens per parameter: {rows}"
        yield from _remark(frame, ratio > 1e5, "ratio", text)
    if {"n_tokens", "n_tokens_unique"} <= set(frame.columns):
        of_run = pl.col("n_tokens").max().over("run_id") if "run_id" in frame.columns else pl.col("n_tokens")
        mask = frame.select(pl.col("n_tokens_unique") > 1.001 * of_run).to_series()
        yield from _remark(frame, mask, "unique", "{n} row(s) have more unique tokens than tokens: {rows}")


def units(frame: pl.DataFrame) -> Iterator[Remark]:
    """Perplexity or bits where nats are declared, per cent where shares are."""
    kinds = frame["metric"].replace_strict({m.name: m.kind for m in METRICS.values()}, default=None)
    nats = (frame["unit"] == "nats_per_token").fill_null(False) | (frame["unit"].is_null() & (kinds == "loss"))
    nats = nats.fill_null(False) & (frame["metric"] != "perplexity").fill_null(True)
    losses = frame["value"].filter(nats)
    typical = float(losses.median()) if len(losses) else 2.0  # type: ignore[arg-type]
    if typical > 20 or (typical < 0.02 and frame["unit"].count()):
        raise DataError(
            f"the losses have a median of {typical:.4g}, which no language model has in nats per token",
            f"perplexities need {argument(metric='perplexity', unit='perplexity')}; "
            f"a loss in other units needs its factor, such as {argument(scale={'loss': 0.6931})}.",
        )
    declared = (frame["unit"] == "nats_per_token").fill_null(False)
    text = "{n} loss(es) below 0.02 nats per token, which no language model has: {rows}"
    yield from _remark(frame, declared & (frame["value"] < 0.02), "unit", text, flags=True)
    text = "{n} loss(es) above 20 nats per token, which only a run that diverged has: {rows}"
    diverged = declared & (frame["value"] > 20)
    if {"run_id", "step"} <= set(frame.columns) and diverged.any():  # what came before is not how the run ended
        last = pl.col("step") == pl.col("step").max().over("run_id")
        runs = frame.filter(diverged & frame.select(last).to_series())["run_id"]
        diverged |= declared & frame["run_id"].is_in(runs.unique().implode())
    yield from _remark(frame, diverged, "unit", text, flags=True)
    mask = nats & ((~declared & (frame["value"] > 20)) | (frame["value"] < 0.2))
    yield from _remark(frame, mask, "unit", "{n} loss(es) above 20 or below 0.2, odd for nats per token: {rows}")
    shares = (frame["unit"] == "fraction").fill_null(False)
    above = shares & (frame["value"] > 1)
    if above.any():
        example = float(frame["value"].filter(above)[0])
        raise DataError(
            f"{int(above.sum())} value(s) above 1 where shares are declared, such as {example:g} "
            f"({_names(frame, above)})",
            f"if these are per cent, say {argument(unit='percent')}."
            if float((frame["value"].filter(shares) > 1).mean()) > 0.8  # type: ignore[arg-type]
            else "some are per cent and some are shares: convert one kind first.",
        )
    counted = shares & frame["metric"].is_in(["acc", "acc_norm", "exact_match"])
    tiny = counted & (frame["value"] > 0) & (frame["value"] < 1e-5)
    text = "{n} share(s) of correct answers below 1 in 100,000: {rows}"
    yield from _remark(frame, tiny, "unit", text, flags=True)
    scores = frame["value"].filter(shares)
    if len(scores) >= 4 and float(scores.max()) <= 0.01 and float(scores.max()) > 0:  # type: ignore[arg-type]
        yield Remark("unit", "all shares are at most 0.01: were per cents divided by 100 twice?")
    low = (frame["metric"] == "perplexity") & (frame["value"] < 1)
    if low.any():
        raise DataError(f"{int(low.sum())} perplexity value(s) below 1 ({_names(frame, low)})", "is this a loss?")


def groups(frame: pl.DataFrame) -> Iterator[Remark]:
    """Means of tasks that are listed beside them."""
    scores = frame.filter(~pl.Series(_is_loss(frame)) & pl.col("eval_set").is_not_null())
    sets = scores["eval_set"].unique().to_list()
    means = [name for name in sets if name.lower() in {"average", "avg", "mean", "overall"} and len(sets) > 2]
    keys = [name for name in ("run_id", "step", "metric", "split", "n_shots") if name in scores.columns]
    for name in sets:
        under = [other for other in sets if other.startswith(f"{name}_")]
        if len(under) < 2:
            continue
        parts = (
            scores.filter(pl.col("eval_set").is_in(under))
            .group_by(keys)
            .agg(n=pl.len(), low=pl.col("value").min(), high=pl.col("value").max())
        )
        whole = scores.filter(pl.col("eval_set") == name).join(parts.filter(pl.col("n") > 1), on=keys, nulls_equal=True)
        # a mean lies between its parts: a benchmark of its own, such as imagenet beside imagenet_v2, need not
        if whole.height and whole.select(pl.col("value").is_between("low", "high").all()).item():
            means.append(name)
    mask = frame["eval_set"].is_in(means)
    yield from _remark(
        frame, mask, "group", f"{{n}} row(s) are means of tasks listed beside them ({listed(means)})", flags=True
    )


def standard_errors(frame: pl.DataFrame) -> Iterator[Remark]:
    """Standard errors that a share of so many items cannot have."""
    if "std_error" not in frame.columns:
        return
    p, is_share = frame["value"], (frame["unit"] == "fraction").fill_null(False)
    none = is_share & (p > 0) & (p < 1) & (frame["std_error"] <= 0)
    if "n_items" in frame.columns:
        none = none & frame["n_items"].is_null()
    yield from _remark(frame, none, "std_error", "{n} score(s) between 0 and 1 with a standard error of 0: {rows}")
    if "n_items" not in frame.columns:
        return
    n = frame["n_items"]
    expected = (p * (1 - p) / (n - 1)).sqrt()
    mask = (frame["unit"] == "fraction") & (p > 0) & (p < 1) & (n > 1) & (frame["metric"].is_in(["acc", "exact_match"]))
    wrong = mask & ((frame["std_error"] < expected / 3) | (frame["std_error"] > 3 * expected))
    yield from _remark(frame, wrong, "std_error", "{n} standard error(s) that a binomial excludes: {rows}")


def tokenizers(frame: pl.DataFrame) -> Iterator[Remark]:
    """Losses per token under different tokenizers."""
    per_token = frame["unit"].str.ends_with("per_token").fill_null(True)
    for name in ("tokenizer_id", "vocab_size"):
        if name in frame.columns:
            different = frame[name].filter(per_token).drop_nulls().unique(maintain_order=True)
            if len(different) > 1:
                shown = different if name == "tokenizer_id" else (f"{value:g}" for value in different)
                yield Remark("tokenizer", f"losses per token under different {name} do not compare: {listed(shown)}")


GUARDS: tuple[Callable[[pl.DataFrame], Iterator[Remark]], ...] = (
    unfinished,  # these two first: what else a row says may be outdated by rows to come, a run's own word is not
    before_plan,
    summaries,
    counts,
    units,
    stopped_short,
    ended_badly,
    duplicated,
    repeated_value,
    alternating,
    capped,
    starts_late,
    groups,
    standard_errors,
    missing_inputs,
    unplaced,
    tokenizers,
)

FROM_ROWS = (
    *("summary", "parameters", "tokens", "unit", "short", "diverged", "duplicate", "group", "missing", "unplaced"),
    "contradiction",
)
"""Flags that stored rows tell again, and that others beside them may change."""

NOT_FROM_ROWS = "stopped before their plan|listed beside it$"
"""Reasons of such flags that only the file told: the plan of a run, and what a harness calls a mean."""


def guard(frame: pl.DataFrame) -> list[Remark]:
    """Remarks of all guards on a frame of measurements, those about rows that are flagged already left out.

    Parameters
    ----------
    frame : DataFrame
        One row per measurement: ``run_id, metric, eval_set, split, value, unit`` and whatever else is known.

    Raises
    ------
    DataError
        If every answer drawn from the frame would be nonsense.
    """
    if frame.is_empty():
        return []
    return [remark for check in GUARDS for remark in check(frame)]
