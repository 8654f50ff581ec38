"""U-PaLM: PaLM before and after UL2R, by training tokens and compute (arXiv 2210.11399)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, melt, require, slug
from ingest._raw import RawFolder
from ingest._source import Source, arxiv_entry, conform

TOKENS, FLOPS = "palm540b_by_tokens.csv", "models_by_flops.csv"
EMERGENT, TUNED = "bigbench_emergent_540b.csv", "finetuning_and_reasoning.csv"
N_TOKENS_ROWS, N_FLOPS_ROWS, N_EMERGENT, N_TUNED = 156, 54, 21, 33
SWAPPED = {"Winogrande": "Winograd", "Winograd": "Winogrande"}
"""Labels of table 8 that are exchanged: at 780B tokens PaLM's paper prints 90.1 for Winograd, 81.1 for Winogrande."""
TITLE = "Transcending Scaling Laws with 0.1% Extra Compute"
AUTHORS = "Yi Tay, Jason Wei, Hyung Won Chung and others"

SOURCE = Source(
    source_id="upalm_tables",
    title=TITLE,
    authors=AUTHORS,
    year=2022,
    arxiv_id="2210.11399",
    licence="none stated",
    redistribution="seven printed tables as our own table of facts with citation",
    headline_metric="task_score",
    n_definition="n_params",
    not_upstream=(TOKENS, FLOPS, EMERGENT, TUNED),
    notes=(
        "Transcribed from a text of the paper. Study 'tokens' (table 8): 26 tasks at 540B after 182B, 329B and 780B "
        "tokens, PaLM and the same checkpoint with UL2R. Study 'compute' (tables 4, 5): PaLM and U-PaLM at 62B and "
        "540B, Chinchilla 70B and Gopher 280B, with the paper's zettaFLOPs (6 N D) as train_flops. Study 'emergent' "
        "(table 1, 5-shot) and 'tuned' (tables 2, 3, 6, 7). Table 8 exchanges the labels Winogrande and Winograd (its "
        "values at 780B tokens are those of PaLM's paper the other way round): corrected here. Its printed averages "
        "(62.7 63.8 66.5 for PaLM, 64.1 66.2 69.4 for U-PaLM) are not the means of its 26 rows (65.1 65.9 68.6, 66.5 "
        "68.3 71.3), and those of table 1 (64.3, 67.7) come out as 64.2 and 67.7. UL2R costs 0.1 % of the compute at "
        "540B; table 4 gives 1 % at 62B. Sizes are the labels. Of the 26 tasks of table 8 those without '1shot' in "
        "their label are zero-shot."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2022, "2210.11399"),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per study, model and number of tokens."""
    columns = {"task": pl.String, "model": pl.String, "score_percent": pl.Float64}
    by_tokens = raw.csv(TOKENS, columns | {"tokens_billion": pl.Float64}, rows=N_TOKENS_ROWS, comments=1)
    one_shot = pl.col("task").str.ends_with("1shot")
    tokens = by_tokens.select(
        "raw_file",
        "raw_row",
        "model",
        study=pl.lit("tokens"),
        billions=pl.col("tokens_billion").cast(pl.Int64),
        eval_set=slug(pl.col("task").str.strip_suffix(" 1shot").replace(SWAPPED)),
        n_shots=pl.when(one_shot).then(1).otherwise(0).cast(pl.Int64),
        value="score_percent",
        raw_field=pl.lit("score_percent"),
    )
    by_flops = raw.csv(
        FLOPS, columns | {"setting": pl.String, "train_zflops": pl.Float64}, rows=N_FLOPS_ROWS, comments=1
    )
    compute = by_flops.select(
        "raw_file",
        "raw_row",
        "model",
        "train_zflops",
        study=pl.lit("compute"),
        eval_set=pl.concat_str([slug(pl.col("task")), "setting"], separator=":"),
        n_shots=pl.when(pl.col("setting") == "0-shot").then(0).cast(pl.Int64),
        value="score_percent",
        raw_field=pl.lit("score_percent"),
    )
    emergent = _emergent(raw)
    tuned = raw.csv(TUNED, columns | {"metric": pl.String}, rows=N_TUNED, comments=1).select(
        "raw_file",
        "raw_row",
        "model",
        study=pl.lit("tuned"),
        eval_set=slug(pl.format("{} {}", "task", "metric")),
        n_shots=pl.when(pl.col("task").str.contains("5-shot")).then(5).cast(pl.Int64),
        value="score_percent",
        raw_field=pl.lit("score_percent"),
    )
    rows = pl.concat([tokens, compute, emergent, tuned], how="diagonal").with_columns(
        value=pl.col("value") / 100,
        run_id=pl.concat_str(
            [
                pl.lit("upalm_tables"),
                "study",
                pl.concat_str(
                    [pl.col("model").str.to_lowercase().str.replace_all(" ", "-"), pl.format("{}B", "billions")],
                    separator="-",
                    ignore_nulls=True,
                ),
            ],
            separator="/",
        ),
    )
    require("upalm_tables", tasks_of_table_8=(tokens["eval_set"].n_unique(), 26), runs=(rows["run_id"].n_unique(), 24))
    return {
        "runs": conform("runs", _runs(rows), "upalm_tables"),
        "evals": measured(
            "upalm_tables",
            rows.drop("model", "study", "billions", "train_zflops"),
            metric="task_score",
            unit="fraction",
        ),
    }


def _emergent(raw: RawFolder) -> pl.DataFrame:
    names = {"palm_540b": "PaLM 540B", "u_palm_540b": "U-PaLM 540B"}
    wide = raw.csv(EMERGENT, {"task": pl.String} | dict.fromkeys(names, pl.Float64), rows=N_EMERGENT, comments=1)
    long = melt(wide, ["task", "raw_file", "raw_row"], [{"raw_field": c, "model": model} for c, model in names.items()])
    return long.select(
        "raw_file",
        "raw_row",
        "raw_field",
        "model",
        "value",
        study=pl.lit("emergent"),
        eval_set="task",
        n_shots=pl.lit(5, pl.Int64),
    )


def _runs(rows: pl.DataFrame) -> pl.DataFrame:
    once = rows.unique("run_id", keep="first", maintain_order=True)
    size = pl.col("model").str.extract(r"(\d+)B$").cast(pl.Float64) * 1e9
    full = pl.col("model").is_in(["PaLM 540B", "U-PaLM 540B"]) & (pl.col("study") != "tokens")
    tokens = pl.when(full).then(780.0).otherwise(pl.col("billions").cast(pl.Float64)) * 1e9
    complete = pl.col("billions").is_null() | (pl.col("billions") == 780)
    return once.select(
        "run_id",
        "study",
        model_name="model",
        model_id=pl.when(complete).then(pl.col("model").str.to_lowercase().str.replace(" ", "-")),
        family=slug(pl.col("model").str.replace(r" \d+B$", "")),
        architecture=pl.lit("decoder"),
        n_params=size,
        n_tokens=tokens,
        train_flops=pl.col("train_zflops") * 1e21,
    )
