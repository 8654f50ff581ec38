"""Sequential search against parallel sampling on CountDown and Sudoku, by test-time compute (arXiv 2504.07052)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, melt, require, slug
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, arxiv_entry, conform

SOLVED, VOTES, SHAPES = "solved_by_compute.csv", "majority_vote.csv", "model_configs.csv"
N_SOLVED, N_VOTES, N_SHAPES, N_SEEDS = 186, 7, 4, 5
N_PROBLEMS = 200
FLOP_PER_MAC = 2
METHODS = {"backtrack (sequential)": "sequential", "direct solution (best-of-n)": "best-of-n"}
TITLE = "To Backtrack or Not to Backtrack: When Sequential Search Limits Model Reasoning"
AUTHORS = "Tian Qin, David Alvarez-Melis, Samy Jelassi, Eran Malach"

SOURCE = Source(
    source_id="backtrack",
    title=TITLE,
    authors=AUTHORS,
    year=2025,
    arxiv_id="2504.07052",
    licence="none stated",
    redistribution="197 numbers of the authors' plots as our own table of facts with citation",
    headline_metric="acc",
    n_definition="n_params",
    not_upstream=(SOLVED, VOTES, SHAPES),
    notes=(
        "Arrays of the authors' plotting scripts: share of 200 problems solved by models of 3M to 365M parameters "
        "(labels), so that one standard error is up to 3.5 points. A run is one model and method; the eval set names "
        "the task and the budget. Sequential ('countdown:1024'): one generation, counted as solved if the answer comes "
        "within that many tokens, so that the points of a curve are cuts of the same generations. Best-of-n "
        "('countdown:n=8'): n samples with a perfect check, of 212 tokens (CountDown), 332 (Sudoku), 400 (stacked) or "
        "200 (easy Sudoku). n_tokens_inference is the tokens of all samples together, n_samples their number, "
        "inference_flops the authors' count (decoding, linear layers and attention) in FLOP: theirs is in "
        "multiply-accumulates; it is null for the 365M models, whose shape is not in the script. Family: method and "
        "stage. Arrays that the scripts comment out, and the DFS trace itself (a bound of the data, no model), are "
        "flagged. Majority votes over 4 to 64 samples of the 17M model, five seeds, are study 'vote'; the best-of-n "
        "beside them equals the main array up to n = 16, and is 66 % against 70 % there at n = 32. The 38M model "
        "solves less with one sample (11.5 %) than the 17M model (17 %)."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2025, "2504.07052"),
    set_aside=(SetAside(SHAPES, N_SHAPES, "read into runs: width, depth and feed-forward width"),),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per task, model and method; one row per budget."""
    solved = _solved(raw)
    votes = _votes(raw)
    rows = pl.concat([solved, votes], how="diagonal")
    shapes = raw.csv(
        SHAPES,
        dict.fromkeys(("model_M", "hidden", "kv_dim", "mlp_dim", "layers"), pl.Float64),
        rows=N_SHAPES,
        comments=1,
    )
    runs = (
        rows.unique("run_id", keep="first", maintain_order=True)
        .join(shapes.drop("raw_file", "raw_row"), on="model_M", how="left", maintain_order="left")
        .select(
            "run_id",
            "study",
            "family",
            architecture=pl.lit("decoder"),
            n_params=pl.col("model_M") * 1e6,
            d_model="hidden",
            d_ff="mlp_dim",
            n_layers="layers",
        )
    )
    drop = ("model_M", "study", "family")
    return {
        "runs": conform("runs", runs, "backtrack"),
        "evals": measured(
            "backtrack", rows.drop(drop), metric="acc", unit="fraction", n_items=float(N_PROBLEMS), n_shots=0
        ),
    }


def _solved(raw: RawFolder) -> pl.DataFrame:
    columns: dict[str, type[pl.DataType]] = dict.fromkeys(("task", "method", "variant", "stage"), pl.String)
    columns |= dict.fromkeys(("model_M", "n_samples", "total_tokens", "solved_percent", "flops_recomputed"), pl.Float64)
    rows = raw.csv(SOLVED, columns, rows=N_SOLVED, comments=1)
    problems = pl.col("solved_percent") * N_PROBLEMS / 100
    require(
        f"backtrack, {SOLVED!r}",
        methods=(set(rows["method"]), set(METHODS)),
        shares_that_are_no_counts=(rows.filter((problems - problems.round()).abs() > 1e-9).height, 0),
    )
    # the scripts comment out these arrays: the mixed strategies of the other sizes, and the stacked 3M model
    commented = pl.col("variant").str.contains("commented out").fill_null(value=False) | (
        pl.col("task").str.contains("stacked") & (pl.col("model_M") == 3)
    )
    trace = pl.col("variant").str.contains("not a model").fill_null(value=False)
    method = pl.col("method").replace_strict(METHODS)
    variant = slug(pl.col("variant").fill_null("").str.replace(r"\(.*\)", ""))
    budget = (
        pl.when(pl.col("n_samples").is_null())
        .then(pl.col("total_tokens").cast(pl.Int64).cast(pl.String))
        .otherwise(pl.format("n={}", pl.col("n_samples").cast(pl.Int64)))
    )
    family = pl.concat_str([method, variant, slug(pl.col("stage").str.replace(r"\+", "and"))], separator="-")
    return rows.select(
        "raw_file",
        "raw_row",
        "model_M",
        "n_samples",
        family=family.str.replace("--", "-"),
        study=slug(pl.col("task")),
        run_id=pl.format(
            "backtrack/{}/{}M/{}", slug(pl.col("task")), pl.col("model_M").cast(pl.Int64), family.str.replace("--", "-")
        ),
        eval_set=pl.format("{}:{}", slug(pl.col("task")), budget),
        n_tokens_inference="total_tokens",
        inference_flops=pl.col("flops_recomputed") * FLOP_PER_MAC,
        value=pl.col("solved_percent") / 100,
        raw_field=pl.lit("solved_percent"),
        flag=pl.when(commented).then(pl.lit("commented_out")).when(trace).then(pl.lit("not_a_model")),
        flag_reason=pl.when(commented)
        .then(pl.lit("the authors' script holds this array as a comment and does not draw it"))
        .when(trace)
        .then(pl.lit("the search traces themselves, a bound set by the training data; set aside here")),
    )


def _votes(raw: RawFolder) -> pl.DataFrame:
    """Votes of the 17M model, and the best of the same samples."""
    seeds = [f"mv_seed{i}" for i in range(1, N_SEEDS + 1)]
    wide = raw.csv(VOTES, dict.fromkeys(("n", "best_of_n_percent", *seeds), pl.Float64), rows=N_VOTES, comments=1)
    fields = [{"raw_field": "best_of_n_percent", "rule": "best-of-n"}]
    fields += [{"raw_field": name, "rule": f"vote-seed{i}"} for i, name in enumerate(seeds, 1)]
    return melt(wide, ["n", "raw_file", "raw_row"], fields).select(
        "raw_file",
        "raw_row",
        "raw_field",
        model_M=pl.lit(17.0),
        study=pl.lit("vote"),
        family=pl.col("rule").str.replace(r"-seed\d", ""),
        run_id=pl.format("backtrack/vote/17M/{}", "rule"),
        eval_set=pl.format("countdown:n={}", pl.col("n").cast(pl.Int64)),
        n_samples="n",
        value=pl.col("value") / 100,
    )
