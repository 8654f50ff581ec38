"""PaLM by size: English tasks, BIG-bench Lite and training compute, from the paper's appendix (arXiv 2204.02311)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, melt, require, slug
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, arxiv_entry, conform

ENGLISH, LITE, COMPUTE = "english_nlp_by_size.csv", "bigbench_lite_by_size.csv", "training_compute.csv"
N_ENGLISH, N_LITE, N_SIZES = 300, 24, 3
SHOTS = {"0-shot": 0, "1-shot": 1, "few-shot": None}
HUMANS = {"human_average": "human-average", "human_best": "human-best"}
TITLE = "PaLM: Scaling Language Modeling with Pathways"
AUTHORS = "Aakanksha Chowdhery, Sharan Narang, Jacob Devlin and others"

SOURCE = Source(
    source_id="palm_tables",
    title=TITLE,
    authors=AUTHORS,
    year=2022,
    arxiv_id="2204.02311",
    licence="none stated",
    redistribution="three printed tables as our own table of facts with citation",
    headline_metric="task_score",
    n_definition="n_params",
    not_upstream=(ENGLISH, LITE, COMPUTE),
    notes=(
        "Transcribed from a text of the paper: appendix H.1 (30 metrics on English tasks at 8B, 62B and 540B with no, "
        "one and few worked examples), H.2 (24 tasks of BIG-bench Lite) and table 22 (training compute). Sizes are the "
        "labels. The 62B model occurs twice: trained on 795B tokens and, with one worked example, on 1,325B. The eval "
        "set names the setting ('triviaqa_em:few-shot'); the number of examples of a few-shot cell is printed for the "
        "540B model only, so that n_shots is null there. BIG-bench Lite scores are the preferred metrics of the tasks, "
        "not above chance, and the humans' average and best are runs of family 'human'. The score of "
        "linguistics_puzzles (0.0 to 0.1) may be a share or a percentage and is flagged. train_flops of the 540B model "
        "is 1.3 % above 6 N D."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2022, "2204.02311"),
    set_aside=(SetAside(COMPUTE, N_SIZES, "read into runs: training compute"),),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Four models and the humans, with the scores of two tables."""
    english = raw.csv(
        ENGLISH,
        {
            "task": pl.String,
            "model": pl.String,
            "training_tokens_billion": pl.Float64,
            "setting": pl.String,
            "score_percent": pl.Float64,
        },
        rows=N_ENGLISH,
        comments=1,
    ).with_columns(
        run_id=pl.format(
            "palm_tables/palm-{}-{}", pl.col("model").str.to_lowercase(), pl.col("training_tokens_billion").cast(int)
        ),
    )
    cells = english.group_by("task").len()
    require(
        f"palm_tables, {ENGLISH!r}",
        tasks=(cells.height, 30),
        cells_of_a_task=(cells["len"].unique().to_list(), [10]),
        settings=(set(english["setting"]), set(SHOTS)),
    )
    scores = english.select(
        "run_id",
        "raw_file",
        "raw_row",
        eval_set=pl.concat_str([slug(pl.col("task")), "setting"], separator=":"),
        n_shots=pl.col("setting").replace_strict(SHOTS, return_dtype=pl.Int64),
        value=pl.col("score_percent") / 100,
        raw_field=pl.lit("score_percent"),
        n_tokens=pl.col("training_tokens_billion") * 1e9,
    )
    evals = pl.concat([scores, _lite(raw)], how="diagonal")
    return {
        "runs": conform("runs", _runs(raw, english), "palm_tables"),
        "evals": measured("palm_tables", evals, metric="task_score", unit="fraction"),
    }


def _lite(raw: RawFolder) -> pl.DataFrame:
    columns = {
        "palm_8b": "palm_tables/palm-8b-780",
        "palm_62b": "palm_tables/palm-62b-795",
        "palm_540b": "palm_tables/palm-540b-780",
    } | {column: f"palm_tables/{name}" for column, name in HUMANS.items()}
    wide = raw.csv(LITE, {"task": pl.String} | dict.fromkeys(columns, pl.Float64), rows=N_LITE, comments=1)
    unclear = pl.col("task") == "linguistics_puzzles"
    return melt(
        wide, ["task", "raw_file", "raw_row"], [{"raw_field": name, "run_id": run} for name, run in columns.items()]
    ).select(
        "run_id",
        "raw_file",
        "raw_row",
        "raw_field",
        eval_set=pl.concat_str(pl.lit("bigbench_lite:"), "task"),
        value=pl.col("value") / 100,
        flag=pl.when(unclear).then(pl.lit("unclear_unit")),
        flag_reason=pl.when(unclear).then(
            pl.lit("printed between 0.0 and 0.1: the paper does not say whether of 1 or of 100; set aside here")
        ),
    )


def _runs(raw: RawFolder, english: pl.DataFrame) -> pl.DataFrame:
    compute = raw.csv(COMPUTE, {"model": pl.String, "train_flops": pl.Float64}, rows=N_SIZES, comments=1)
    models = english.unique(["run_id"], maintain_order=True).join(
        compute.select("model", "train_flops"), on="model", how="left"
    )
    longer = pl.col("training_tokens_billion") == 1325
    size = pl.col("model").str.strip_suffix("B").cast(pl.Float64) * 1e9
    palm = models.select(
        "run_id",
        model_name=pl.concat_str(pl.lit("PaLM "), "model"),
        model_id=pl.when(~longer).then(pl.concat_str(pl.lit("palm-"), pl.col("model").str.to_lowercase())),
        family=pl.when(longer).then(pl.lit("palm-longer")).otherwise(pl.lit("palm")),
        architecture=pl.lit("decoder"),
        n_params=size,
        n_tokens=pl.col("training_tokens_billion") * 1e9,
        train_flops=pl.when(~longer).then("train_flops"),
    )
    humans = pl.DataFrame(
        [
            {"run_id": f"palm_tables/{name}", "model_name": name.replace("-", " "), "family": "human"}
            for name in HUMANS.values()
        ]
    )
    return pl.concat([palm, humans], how="diagonal").with_columns(study=pl.lit("palm_tables"))
