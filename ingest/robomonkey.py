"""RoboMonkey: success of robot policies with and without test-time verification (arXiv 2506.17811)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, slug
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, arxiv_entry, conform

FITS, TASKS = "sample_scaling_fit.csv", "success_by_task.csv"
SYNTHETIC, SEEDS = "success_by_synthetic_data.csv", "readme_seeds.csv"
N_FITS, N_TASKS, N_SYNTHETIC, N_SEEDS = 7, 52, 5, 4
TITLE = "RoboMonkey: Scaling Test-Time Sampling and Verification for Vision-Language-Action Models"
AUTHORS = "Jacky Kwok, Christopher Agia, Rohan Sinha and others"

SOURCE = Source(
    source_id="robomonkey",
    title=TITLE,
    authors=AUTHORS,
    year=2025,
    arxiv_id="2506.17811",
    repository="robomonkey-vla/robomonkey-vla.github.io",
    upstream_commit="26ab2bba9fcb9cfb609f7149637fc50d334bf985",
    licence="MIT (README of the code); none stated for the page",
    redistribution="printed labels of figures as our own table of facts with citation",
    headline_metric="task_score",
    not_upstream=(FITS, TASKS, SYNTHETIC, SEEDS),
    notes=(
        "Success rates of robot policies read from the labels of figures: study 'tasks' (in distribution, out of "
        "distribution, LIBERO), 'synthetic' (by the number of synthetic comparisons the verifier was trained on: "
        "n_datapoints), 'seeds' (a later reproduction in the README with three seeds). Averages are flagged. Few "
        "trials "
        "stand behind a number (steps of 2 % in simulation, of 10 % on real robots), and how many is not printed. The "
        "law "
        "of the action error in the number of samples, e = a k^b, is printed per policy and sampling method (claims): "
        "a and b to two digits, of the best of k samples, which a real verifier does not find. The abstract "
        "says 9 % more success in distribution, the page 8 %. Policies have no sizes here."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2025, "2506.17811"),
    set_aside=(SetAside(FITS, N_FITS, "read into claims: printed fits of the error in the number of samples"),),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per study, suite and method."""
    text = dict.fromkeys(("suite", "task", "method"), pl.String)
    tasks = raw.csv(TASKS, {**text, "success_percent": pl.Float64}, rows=N_TASKS, comments=1).select(
        "raw_file",
        "raw_row",
        "method",
        study=pl.lit("tasks"),
        suite=slug(pl.col("suite").str.replace(r" \(.*| \(fine.*", "")),
        task=slug(pl.col("task").str.replace("Average Success Rate", "Average")),
        value="success_percent",
        raw_field=pl.lit("success_percent"),
    )
    synthetic = raw.csv(
        SYNTHETIC,
        {"method": pl.String, "synthetic_comparisons": pl.Float64, "success_percent": pl.Float64},
        rows=N_SYNTHETIC,
        comments=1,
    ).select(
        "raw_file",
        "raw_row",
        "method",
        study=pl.lit("synthetic"),
        suite=pl.lit("simpler"),
        task=pl.lit("mean_of_four"),
        n_datapoints="synthetic_comparisons",
        value="success_percent",
        raw_field=pl.lit("success_percent"),
    )
    seeds = [f"seed{i}_percent" for i in (1, 2, 3)]
    columns = [*seeds, "baseline_percent"]
    wide = raw.csv(SEEDS, {"task": pl.String, **dict.fromkeys(columns, pl.Float64)}, rows=N_SEEDS, comments=1)
    repeated = wide.unpivot(
        columns, index=["task", "raw_file", "raw_row"], variable_name="raw_field", value_name="value"
    ).select(
        "raw_file",
        "raw_row",
        "raw_field",
        "value",
        study=pl.lit("seeds"),
        suite=pl.lit("simpler"),
        task=slug(pl.col("task")),
        method=pl.col("raw_field").str.strip_suffix("_percent"),
    )
    rows = pl.concat([tasks, synthetic, repeated], how="diagonal").with_columns(
        run_id=pl.concat_str(
            [
                pl.lit("robomonkey"),
                "study",
                "suite",
                slug(pl.col("method")),
                pl.col("n_datapoints").cast(pl.Int64).cast(pl.String),
            ],
            separator="/",
            ignore_nulls=True,
        )
    )
    average = pl.col("task") == "average"
    evals = rows.select(
        "run_id",
        "raw_file",
        "raw_row",
        "raw_field",
        eval_set=pl.format("{}:{}", "suite", "task"),
        value=pl.col("value") / 100,
        flag=pl.when(average).then(pl.lit("aggregate")),
        flag_reason=pl.when(average).then(pl.lit("mean over the tasks of the same suite")),
    )
    runs = rows.unique("run_id", keep="first", maintain_order=True).select(
        "run_id",
        "study",
        "n_datapoints",
        model_name="method",
        family=slug(pl.col("method")),
        seed=pl.col("method").str.extract(r"^seed(\d)$").cast(pl.Int64),
        task_domain=pl.lit("robotics"),
    )
    return {
        "runs": conform("runs", runs, "robomonkey"),
        "evals": measured("robomonkey", evals, metric="task_score", unit="fraction"),
        "claims": conform("claims", _claims(raw), "robomonkey"),
    }


def _claims(raw: RawFolder) -> pl.DataFrame:
    """Factor and exponent of every printed fit; one of them stands in both panels."""
    text = dict.fromkeys(("panel", "policy", "sampling"), pl.String)
    fits = raw.csv(FITS, {**text, "a": pl.Float64, "b": pl.Float64}, rows=N_FITS, comments=1)
    return fits.unpivot(["a", "b"], index=["panel", "policy", "sampling"], variable_name="param").select(
        claim_id=pl.format(
            "2506.17811/fit/{}/{}/{}/{}", "panel", slug(pl.col("policy")), slug(pl.col("sampling")), "param"
        ),
        claim=pl.format(
            "error of the best of k samples is a k^b, {}, {} ({} panel): {}", "policy", "sampling", "panel", "param"
        ),
        quantity="param",
        value="value",
        unit=pl.lit("unitless"),
        varies=pl.lit("number of samples"),
        law=pl.lit("exponentiated_power"),
        where_stated=pl.lit("project page, legend of the figure of test-time scaling"),
    )
