"""Measure how often forecasts hold: the arena's hold-outs replayed with the intervals of ``Fit.predict``.

    uv run python benchmarks/forecast_coverage.py [--laws chinchilla power] [--sets farseer] [--store DIR]
    uv run python benchmarks/forecast_coverage.py --calibrate     writes the constants of the intervals
    uv run python benchmarks/forecast_coverage.py --record        writes what sdb.track_record() replays

Every law is fitted below each threshold of each data set, once; what its intervals are made of is kept in a folder
for temporary files, so that another formula for the interval is measured within seconds. The constants of an interval
are learned on the other sources alone, each source left out in turn. A figure is the mean over data sets; its error
(+-) is that of resampling sources. Winkler scores are relative to the observation and end at 10, like widths: a
95 % interval costs its width, and forty times what it misses by. ``today`` is the interval from the scatter of the
fitted rows.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import warnings
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np
import polars as pl
from scipy.optimize import minimize
from scipy.special import gammaln, stdtrit

import scalingdb as sdb
from scalingdb.evidence.arena._cuts import BANDS, cuts_of
from scalingdb.evidence.arena._field import entrants
from scalingdb.evidence.arena._sets import DATA_SETS
from scalingdb.fits._law_error import (
    CONSTANTS,
    InnerHoldouts,
    Pooled,
    farthest_axis,
    growth,
    inner_holdouts,
    lean_of,
    miss_scale,
    noise,
)
from scalingdb.forecasts._forecast import CURVES, SURFACES
from scalingdb.forecasts._record import REPLAYED

logging.getLogger("scalingdb").setLevel("WARNING")
warnings.simplefilter("ignore")

TRACKS = ("surface", "curve")
LEFT_OUT = {"bnsl_two_breaks", "m1", "m2", "kaplan_lc", "kaplan_ld", "henighan_ln_lc", "bahri_regime"}
"""One law that takes minutes, and laws that are another one in other letters."""

START = {
    "one": Pooled(-4.1, -2.7, 0.35, -0.8, 0.4),
    "several": Pooled(-4.5, -3.6, 0.35, -0.8, 0.4),
}
CAP = 10.0


# ---- cells ---------------------------------------------------------------------------------------


def cells(store: Path, laws: list[str], sets: list[str]) -> pl.DataFrame:
    """A row for each held-out row of each fit: what was observed, predicted, and all that an interval is made of."""
    store.mkdir(parents=True, exist_ok=True)
    frames = []
    with sdb.connect() as db:
        for chosen in DATA_SETS:
            if chosen.track not in TRACKS or (sets and chosen.id not in sets):
                continue
            rows = db.sql(chosen.rows).sort("run_id", "scale", chosen.output)
            for law, inputs in entrants(chosen, rows.columns).items():
                if not inputs or law in LEFT_OUT or law == "log_log_line" or (laws and law not in laws):
                    continue
                file = store / f"{chosen.id}-{law}.parquet"
                if not file.exists():
                    print(f"fitting {law} to {chosen.id}", file=sys.stderr)
                    _cells_of(chosen, rows, law, inputs).write_parquet(file)
                frames.append(pl.read_parquet(file))
    return pl.concat([frame for frame in frames if frame.height], how="vertical_relaxed")


def _cells_of(chosen, rows: pl.DataFrame, law: str, inputs: dict[str, str]) -> pl.DataFrame:
    parts = {cut.id: cut for cut in cuts_of(chosen, rows) if cut.reach is not None}
    pooled = pl.concat([cut.split.train.with_columns(cut=pl.lit(name)) for name, cut in parts.items()])
    options = {"inputs": inputs, "output": chosen.output, "pool": True, **chosen.options}
    found = sdb.fit_by(pooled, law, by="cut", on_error="record", **options)
    frames = [_cell(found[name], cut) for name, cut in parts.items() if (name,) in found.fits]
    labels = {"data_set": chosen.id, "source_id": chosen.source_id, "track": chosen.track, "law": law}
    labels["inputs"] = "one" if len(inputs) == 1 else "several"
    if not frames:
        return pl.DataFrame()
    return pl.concat(frames).with_columns(pl.lit(value).alias(name) for name, value in labels.items())


def _cell(fit: sdb.Fit, cut) -> pl.DataFrame:
    test = cut.split.test
    predicted, by_law = fit.predict(test, level=0.95, error="noise"), fit.predict(test, level=0.95)
    directions, which, log_distance = farthest_axis(fit._problem, fit._arrays(test))
    own = [inner_holdouts(fit._estimate, *direction) if i in which else None for i, direction in enumerate(directions)]
    none = InnerHoldouts(0, 0.0, 0.0, 0.0)
    past = [own[i] or none if i >= 0 else none for i in which]
    return predicted.select(
        "distance",
        "band",
        "prediction",
        noise_low="low",
        noise_high="high",
        y=pl.col(fit.recipe.output).cast(pl.Float64),
    ).with_columns(
        axis=pl.lit(cut.axis),
        reach=pl.lit(cut.reach),
        draw=pl.lit(cut.draw, dtype=pl.Int64),
        verdict=pl.lit(str(fit.verdict.kind)),
        scatter=pl.lit(noise(fit._estimate)),
        log_distance=pl.Series(log_distance),
        is_far=by_law["interval"].str.starts_with("law"),
        n_inner=pl.Series([entry.n for entry in past]),
        count=pl.Series([entry.count for entry in past]),
        spread=pl.Series([entry.spread for entry in past]),
        lean=pl.Series([entry.lean for entry in past]),
    )


# ---- constants -----------------------------------------------------------------------------------


class Rows:
    """Held-out rows as arrays; every data set, law and band weighs the same."""

    def __init__(self, table: pl.DataFrame) -> None:
        names = ("log_distance", "count", "spread", "lean", "scatter", "y", "prediction")
        self.values = {name: table[name].cast(pl.Float64).to_numpy() for name in names}
        with np.errstate(all="ignore"):
            miss = np.log(self.values["prediction"] / self.values["y"])
        self.miss = np.clip(np.nan_to_num(miss, nan=5.0), -5.0, 5.0)
        self.is_one = (table["inputs"] == "one").to_numpy()
        self.source = table["source_id"].to_numpy()
        self.is_far = table["is_far"].to_numpy()
        weight = table.select(1 / pl.len().over("data_set", "law", "axis", "band"))[:, 0]
        self.weight = weight.to_numpy() * self.is_far

    def spreads(self, constants: dict[str, Pooled]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scale, degrees of freedom and shift of the interval, over the growth with distance."""
        v = self.values
        found = []
        for pooled in (constants["one"], constants["several"]):
            scale, degrees = miss_scale(pooled, v["count"], v["spread"], v["scatter"])
            found.append((scale, degrees, lean_of(pooled, v["count"], v["lean"])))
        return tuple(np.where(self.is_one, a, b) for a, b in zip(*found, strict=True))

    def ends(self, constants: dict[str, Pooled], level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Ends of the intervals."""
        scale, degrees, moved = self.spreads(constants)
        far, half = growth(np.maximum(self.values["log_distance"], 0.0)), stdtrit(degrees, 0.5 + level / 2) * scale
        with np.errstate(over="ignore"):
            return tuple(self.values["prediction"] * np.exp((moved + sign * half) * far) for sign in (-1, 1))


def thinned(table: pl.DataFrame, most: int = 6) -> pl.DataFrame:
    """Rows enough to learn constants from: some of each hold-out and band, evenly by distance."""
    place = (
        pl.col("distance").rank("ordinal").cast(pl.Int64).over("data_set", "law", "axis", "reach", "draw", "band") - 1
    )
    count = pl.len().over("data_set", "law", "axis", "reach", "draw", "band")
    return table.filter((place * most // count) != ((place - 1) * most // count) | (place == 0))


def calibrate(
    rows: Rows, keep: np.ndarray, start: dict[str, Pooled] = START, evaluations: int = 500
) -> dict[str, Pooled]:
    """Constants of the highest likelihood of the misses, as Student's t, over the rows to keep.

    Curves come from few sources, so laws in one input have scales of their own and share the rest with surfaces.
    """
    several = keep & ~rows.is_one
    alone = _most_likely(rows, several, astuple(start["several"]), _only_several, evaluations)["several"]
    joint = np.array([start["one"].log_scale, start["one"].log_scale_alone, *astuple(start["several"])])
    return {"one": _most_likely(rows, keep, joint, _both, evaluations)["one"], "several": alone}


def _only_several(x: np.ndarray) -> dict[str, Pooled]:
    return dict.fromkeys(START, Pooled(*map(float, x)))


def _both(x: np.ndarray) -> dict[str, Pooled]:
    values = list(map(float, x))
    return {"one": Pooled(*values[:2], *values[4:]), "several": Pooled(*values[2:])}


def _most_likely(rows: Rows, keep: np.ndarray, first, constants_of, evaluations: int) -> dict[str, Pooled]:
    weight = np.where(keep, rows.weight, 0.0)
    first = np.asarray(first, dtype=float)
    if not weight.any():
        return constants_of(first)
    far, size = growth(np.maximum(rows.values["log_distance"], 0.0)), first.size
    near = np.array([*astuple(START["one"])[:2], *astuple(START["several"])])[-size:]

    def cost(x: np.ndarray) -> float:
        scale, degrees, moved = rows.spreads(constants_of(x))
        scale = scale * far
        t = (-rows.miss - moved * far) / scale
        density = gammaln((degrees + 1) / 2) - gammaln(degrees / 2) - 0.5 * np.log(degrees * np.pi) - np.log(scale)
        density -= (degrees + 1) / 2 * np.log1p(t * t / degrees)
        # a hundredth of a unit of likelihood holds constants that the rows say nothing about near their start
        return float(-(weight * density).sum() / weight.sum() + 0.01 * ((x - near) ** 2).sum())

    options = {"maxiter": evaluations, "maxfev": evaluations, "xatol": 1e-3, "fatol": 1e-6, "adaptive": True}
    return constants_of(minimize(cost, first, method="Nelder-Mead", options=options).x)


def write_constants(constants: dict[str, Pooled]) -> None:
    names = [field.name for field in fields(Pooled)]
    lines = [
        "# Written by: uv run python benchmarks/forecast_coverage.py --calibrate",
        ",".join(["inputs", *names]),
        *(",".join([kind, *(f"{value:.4g}" for value in astuple(entry))]) for kind, entry in constants.items()),
    ]
    CONSTANTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


# ---- scores --------------------------------------------------------------------------------------


def scored(table: pl.DataFrame, low: np.ndarray, high: np.ndarray, name: str) -> pl.DataFrame:
    """Coverage, width and Winkler score of each row, the latter two relative to the observation and at most 10."""
    y = table["y"].to_numpy()
    below, above = np.nan_to_num(low / y, nan=-CAP), np.nan_to_num(high / y, nan=CAP, posinf=1e6)
    width = np.clip(above - below, 0.0, CAP)
    winkler = np.clip(width + 40 * np.maximum(below - 1, 0) + 40 * np.maximum(1 - above, 0), 0.0, CAP)
    inside = ((below <= 1) & (above >= 1)).astype(float)
    columns = {f"{name}_coverage": inside, f"{name}_width": width, f"{name}_winkler": winkler}
    return pl.DataFrame(columns)


def summary(table: pl.DataFrame, by: list[str], rng: np.random.Generator) -> pl.DataFrame:
    """Means over data sets with the error of resampling sources."""
    figures = [name for name in table.columns if name.split("_")[-1] in {"coverage", "width", "winkler"}]
    inner = list(dict.fromkeys([*by, "source_id", "data_set", "law", "axis"]))
    each = table.group_by(inner).agg(pl.col(figures).mean())
    each = each.group_by(list(dict.fromkeys([*by, "source_id", "data_set"]))).agg(pl.col(figures).mean())
    out = []
    for key, group in each.group_by(by, maintain_order=False):
        codes, values = group["source_id"].rank("dense").to_numpy().astype(int) - 1, group.select(figures).to_numpy()
        count = codes.max() + 1
        drawn = rng.multinomial(count, np.full(count, 1 / count), 500)[:, codes].astype(float)
        drawn = drawn[drawn.sum(1) > 0]
        means = drawn @ values / drawn.sum(1, keepdims=True)
        row = dict(zip(by, key, strict=True)) | {"sets": group.height, "sources": int(count)}
        for i, name in enumerate(figures):
            row[name], row[f"{name}_error"] = values[:, i].mean(), means[:, i].std()
        ratio = means[:, figures.index("law_winkler")] / means[:, figures.index("today_winkler")]
        row["ratio"] = row["law_winkler"] / row["today_winkler"]
        row["ratio_error"] = ratio.std()
        out.append(row)
    return pl.DataFrame(out).sort(by)


def choices(table: pl.DataFrame, rows: Rows, constants: dict[str, Pooled], rng: np.random.Generator) -> pl.DataFrame:
    """Choosing a law by its past misses against always the same law, and against a mean of all laws.

    The mean is one of logarithms, weighted by the inverse square (or fourth power) of each law's past misses; its
    interval has the weighted mean of their widths, as misses of laws on the same rows are alike.
    """
    scale, degrees, moved = rows.spreads(constants)
    far = growth(np.maximum(table["log_distance"].to_numpy(), 0.0))
    half = stdtrit(degrees, 0.975) * scale
    group = ["track", "source_id", "data_set", "axis", "reach", "draw"]
    given = table.with_columns(
        row=pl.int_range(pl.len()).over(*group, "law"),
        scale=pl.Series(scale),
        center=pl.col("prediction").log() + pl.Series(moved * far),
        half=pl.Series(half * far),
    ).filter("is_far", pl.col("law").is_in([*SURFACES, *CURVES]) & pl.col("center").is_finite())
    many = (pl.len() > 1).over(*group, "row")
    given = given.filter(many)
    fixed = given.filter(pl.col("law").is_in(["chinchilla", "power_offset"])).with_columns(choice=pl.lit("always"))
    best = given.sort("scale").group_by(*group, "row", maintain_order=True).first().with_columns(choice=pl.lit("best"))
    means = []
    for power in (2, 4):
        weight = pl.col("scale") ** -power
        mean = {name: (pl.col(name) * weight).sum() / weight.sum() for name in ("center", "half")}
        mean["prediction"] = ((pl.col("prediction").log() * weight).sum() / weight.sum()).exp()
        combined = given.group_by(*group, "row").agg(**mean, y=pl.col("y").first(), band=pl.col("band").first())
        means.append(combined.with_columns(choice=pl.lit(f"mean, power {power}")))
    columns = [*group, "row", "choice", "y", "band", "prediction", "center", "half"]
    every = pl.concat([frame.select(columns) for frame in (fixed, best, *means)])
    low, high = ((every["center"] + sign * every["half"].clip(0, 8)).exp().to_numpy() for sign in (-1, 1))
    scores = pl.concat([every, scored(every, low, high, "law")], how="horizontal").with_columns(
        error=(pl.col("prediction") / pl.col("y") - 1).abs().clip(0, CAP)
    )
    figures = ["error", "law_coverage", "law_winkler"]
    each = scores.group_by("track", "source_id", "data_set", "axis", "choice").agg(pl.col(figures).mean())
    each = each.group_by("track", "source_id", "data_set", "choice").agg(pl.col(figures).mean())
    out = []
    for (track,), part in each.group_by("track"):
        wide = part.sort("data_set").pivot("choice", index=["source_id", "data_set"], values=figures).drop_nulls()
        codes = wide["source_id"].rank("dense").to_numpy().astype(int) - 1
        drawn = rng.multinomial(codes.max() + 1, np.full(codes.max() + 1, 1 / (codes.max() + 1)), 500)[:, codes]
        for choice in part["choice"].unique(maintain_order=True).sort():
            row = {"track": track, "choice": choice, "sets": wide.height}
            for figure in figures:
                values = wide[f"{figure}_{choice}"].to_numpy()
                gap = values - wide[f"{figure}_best"].to_numpy()
                row[figure] = values.mean()
                row[f"{figure}_gap_error"] = (drawn @ gap / np.maximum(drawn.sum(1), 1)).std()
            out.append(row)
    return pl.DataFrame(out).sort("track", "choice") if out else pl.DataFrame()


def show(title: str, frame: pl.DataFrame, by: list[str]) -> None:
    print(f"\n{title}")
    head = f"{'':34s} {'sets':>4s}  {'coverage today':>15s} {'coverage':>15s} {'width':>8s} {'Winkler':>8s} {'/ today':>14s}"
    print(head)
    order = {band: i for i, band in enumerate(BANDS)}
    rows = sorted(
        frame.iter_rows(named=True),
        key=lambda row: (
            [order.get(row[name], row[name]) for name in by if name != "band"] + [order.get(row.get("band"), 0)]
        ),
    )
    for row in rows:
        label = ", ".join(str(row[name]) for name in by)
        print(
            f"{label:34s} {row['sets']:4d}  {100 * row['today_coverage']:6.1f} +- {100 * row['today_coverage_error']:4.1f} "
            f"{100 * row['law_coverage']:7.1f} +- {100 * row['law_coverage_error']:4.1f} {row['law_width']:8.3f} "
            f"{row['law_winkler']:8.3f} {row['ratio']:6.2f} +- {row['ratio_error']:4.2f}"
        )


def write_record(scores: pl.DataFrame) -> None:
    """Coverage, width, Winkler score and error for each law and band, every data set counting once."""
    scores = scores.with_columns(error=(pl.col("prediction") / pl.col("y") - 1).abs().clip(0, CAP))
    both = pl.concat([scores.with_columns(band=pl.lit("all")), scores])
    names = {"coverage": "law_coverage", "width": "law_width", "winkler": "law_winkler"}
    names |= {f"{name}_noise": f"today_{name}" for name in ("coverage", "width", "winkler")}
    each = both.group_by("track", "law", "band", "source_id", "data_set").agg(
        pl.col("error").mean(), **{name: pl.col(column).mean() for name, column in names.items()}
    )
    order = {band: i for i, band in enumerate(("all", *BANDS))}
    frame = (
        each.group_by("track", "law", "band")
        .agg(
            n_sets=pl.len(),
            n_sources=pl.col("source_id").n_unique(),
            error=pl.col("error").median(),
            **{name: pl.col(name).mean() for name in names},
        )
        .sort("track", "law", pl.col("band").replace_strict(order))
        .with_columns(pl.selectors.float().round(4))
    )
    head = "# Written by: uv run python benchmarks/forecast_coverage.py --record"
    REPLAYED.write_text(f"{head}\n{frame.write_csv()}", encoding="utf-8")
    print(f"wrote {REPLAYED}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--laws", nargs="*", default=[])
    parser.add_argument("--sets", nargs="*", default=[])
    parser.add_argument("--store", type=Path, default=Path(tempfile.gettempdir()) / "scalingdb_forecast_cells")
    parser.add_argument("--calibrate", action="store_true", help="write the constants that the package reads")
    parser.add_argument("--record", action="store_true", help="write the record that sdb.track_record() replays")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    table = cells(chosen.store, chosen.laws, chosen.sets).filter(pl.col("y") > 0)
    rows = Rows(table)
    few = Rows(thinned(table))
    everything = calibrate(few, np.ones(few.source.size, dtype=bool), evaluations=2500)
    print(f"{table.height} held-out rows; constants of all sources: {everything}")
    if chosen.calibrate:
        write_constants(everything)
        print(f"wrote {CONSTANTS}")
    low, high = (table[name].to_numpy().copy() for name in ("noise_low", "noise_high"))
    for source in np.unique(rows.source):
        own = rows.source == source
        below, above = rows.ends(calibrate(few, few.source != source, everything))
        replaced = own & rows.is_far
        low[replaced], high[replaced] = below[replaced], above[replaced]
    today = scored(table, table["noise_low"].to_numpy(), table["noise_high"].to_numpy(), "today")
    scores = pl.concat([table, today, scored(table, low, high, "law")], how="horizontal")
    if chosen.record:
        write_record(scores)
    rng = np.random.default_rng(chosen.seed)
    for title, by in (
        ("all", ["track"]),
        ("by distance", ["track", "band"]),
        ("by law", ["track", "law"]),
        ("by axis", ["track", "axis"]),
        ("by inner hold-outs", ["track", "inner"]),
    ):
        labelled = scores.with_columns(inner=pl.col("n_inner").clip(0, 12).cast(pl.String).str.zfill(2))
        show(title, summary(labelled, by, rng), by)
    with pl.Config(tbl_cols=-1, tbl_rows=-1, tbl_width_chars=140, float_precision=4):
        print("\nwhich law: chosen by its past misses ('best'), always the same, or a weighted mean of all")
        print("(gap_error: that of the difference to 'best', resampling sources)")
        print(choices(table, rows, everything, rng))
    everywhere = scores.with_columns(all=pl.lit("all"))
    show("surfaces and curves together", summary(everywhere, ["all"], rng), ["all"])
    far = everywhere.filter(pl.col("band") == BANDS[-1])
    show("beyond 30 times", summary(far, ["all"], rng), ["all"])


if __name__ == "__main__":
    main()
