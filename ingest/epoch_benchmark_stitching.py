"""Benchmark scores of some 600 public models, collected by Epoch AI from leaderboards and papers (2025)."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from ingest._long import require
from ingest._model_ids import model_id, printed_name
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform
from scalingdb.errors import DataError

VERSIONS, OWN, DISTILLED, ATTRIBUTES = (
    "model_versions.csv",
    "benchmarks_runs.csv",
    "distilled_models.csv",
    "benchmark_optim.csv",
)
N_VERSIONS, N_OWN, N_DISTILLED, N_ATTRIBUTES, N_FILES, N_EXTERNAL = 574, 541, 170, 42, 37, 2_558
N_ROUNDED_ERRORS = 8
REPEATED_ARC = ["LLaMA-13B", "LLaMA-33B", "LLaMA-65B", "LLaMA-7B", "PaLM 540B", "PaLM 62B", "text-davinci-001"]
"""Models whose record from the LLaMA paper has one score for both halves of ARC."""
PREFIX = "external_benchmark_"

PERCENT, SHARE = 0.01, 1.0


@dataclass(frozen=True)
class Score:
    """One column of one file: its metric, the suffix of its eval set, and the factor that makes it a share.

    Without a factor the number is no share and keeps its own scale. `error`, `low` and `high` name
    the columns of its uncertainty.
    """

    column: str
    metric: str = "task_score"
    suffix: str = ""
    factor: float | None = PERCENT
    error: str | None = None
    low: str | None = None
    high: str | None = None


def _acc(column: str, suffix: str = "") -> Score:
    return Score(column, "acc", suffix)


def _value(column: str, suffix: str, low: str | None = None, high: str | None = None) -> Score:
    return Score(column, "benchmark_value", suffix, None, low=low, high=high)


FILES: dict[str, tuple[Score, ...]] = {
    "aider_polyglot": (
        Score("Percent correct"),
        Score("Percent using correct edit format", suffix="edit_format"),
        _value("Cost", "cost_usd"),
    ),
    "anli": (_acc("Score"),),
    "arc_agi": (Score("Score"),),
    "arc_ai2": (_acc("Challenge score", "challenge"), _acc("Easy score", "easy")),
    "balrog": (
        Score("Average progress", error="Average Standard error"),
        *(
            Score(f"{game} progress", suffix=game.lower(), error=f"{game} Standard error")
            for game in ("BabyAI", "Crafter", "TextWorld", "BabalsAI", "MiniHack", "NetHack")
        ),
    ),
    "bbh": (Score("Average"),),
    "boolq": (_acc("Score"),),
    "cadeval": (
        Score("Overall pass (%)"),
        Score("SCAD Gen (%)", suffix="scad_generated"),
        Score("Render (%)", suffix="rendered"),
        Score("Chamfer Pass (%)", suffix="chamfer"),
        Score("Haus. Pass", suffix="hausdorff"),
        Score("Vol. Pass", suffix="volume"),
        _value("Avg Chamfer (mm)", "chamfer_mm"),
        _value("Avg Haus. 95p (mm)", "hausdorff_95p_mm"),
    ),
    "csqa2": (_acc("Score"),),
    "cybench": (
        Score("Unguided % Solved", suffix="unguided"),
        Score("Subtask-Guided % Solved", suffix="subtask_guided"),
        Score("Subtasks % Solved", suffix="subtasks"),
        _value("Unguided most difficult task solved (minutes)", "unguided_hardest_minutes"),
        _value("Subtask-Guided most difficult task solved (minutes)", "subtask_guided_hardest_minutes"),
    ),
    "deepresearch": (Score("Average score"),),
    "factorio_learning_environment": (
        Score("Lab Success %"),
        _value("Production score", "production_score"),
        _value("Milestones", "milestones"),
        _value("Automation", "automation"),
        _value("Cost", "cost_usd"),
    ),
    "fictionlivebench": tuple(
        Score(f"{n} token score", suffix=f"{n}_tokens")
        for n in ("0", "400", "1k", "2k", "4k", "8k", "16k", "32k", "60k", "120k", "192k")
    ),
    "geobench": tuple(
        score
        for part in ("ACW", "AVW", "Rural", "Urban", "Photos")
        for score in (
            Score(f"{part} Country %", suffix=f"{part.lower()}_country"),
            _value(f"{part} Avg Score", f"{part.lower()}_mean_score"),
            _value(f"{part} Median Score", f"{part.lower()}_median_score"),
            _value(f"{part} Median Distance" + ("" if part == "Rural" else " (km)"), f"{part.lower()}_median_km"),
            Score(f"{part} Refusal", suffix=f"{part.lower()}_refusal"),
        )
    ),
    "gsm8k": (Score("EM", "exact_match"),),
    "gso_bench": (Score("Score OPT@1", suffix="opt_at_1"), Score("Score OPT@10", suffix="opt_at_10")),
    "hellaswag": (_acc("Overall accuracy"),),
    "lambada": (_acc("Score"),),
    "lech_mazur_writing": (_value("Mean score", "mean_of_10"),),
    "livebench": tuple(
        Score(column, suffix=suffix)
        for column, suffix in (
            ("Global average", ""),
            ("Reasoning average", "reasoning"),
            ("Coding average", "coding"),
            ("Mathematics average", "mathematics"),
            ("Data analysis average", "data_analysis"),
            ("Language average", "language"),
            ("IF Average", "instruction_following"),
        )
    ),
    "mcbench": (Score("Win rate", suffix="win_rate"), _value("ELO", "elo"), _value("Votes", "votes")),
    "metr": (
        Score("average_score", factor=SHARE),
        _value("Time horizon", "time_horizon_minutes", "CI_low", "CI_high"),
    ),
    "mmlu": (Score("EM", "exact_match"),),
    "openbookqa": (_acc("Accuracy"),),
    "os_world": (Score("Score"),),
    "osuniverse": (
        Score("Weighted Score"),
        *(Score(level, suffix=level.lower()) for level in ("Paper", "Wood", "Bronze", "Silver", "Gold")),
        _value("Cost", "cost_usd"),
        _value("Duration (seconds)", "duration_seconds"),
    ),
    "piqa": (_acc("Score"),),
    "scienceqa": (_acc("Score"),),
    "simple_bench": (Score("Score (AVG@5)"),),
    "superglue": (Score("Score"),),
    "terminal_bench": (Score("Accuracy mean", error="Accuracy SE"),),
    "the_agent_company": (
        Score("% Score"),
        Score("% Resolved", suffix="resolved"),
        _value("Average steps", "mean_steps"),
        _value("Average costs", "mean_cost_usd"),
    ),
    "triviaqa": (Score("EM", "exact_match"),),
    "videomme": tuple(
        _acc(f"{length} ({subtitles} subtitles)", f"{key}_{subtitles}_subtitles")
        for length, key in (
            ("Overall", "overall"),
            ("Short videos", "short"),
            ("Medium videos", "medium"),
            ("Long videos", "long"),
        )
        for subtitles in ("no", "with")
    ),
    "vpct": (Score("Correct"),),
    "weirdml": (
        Score("Accuracy"),
        _value("Cost per run", "cost_usd"),
        _value("Median code length (lines)", "median_code_lines"),
    ),
    "winogrande": (_acc("Accuracy"),),
}
"""Benchmark (the file's name) and its columns; a column's unit differs by file and is stated here."""

NAME_COLUMNS = ("Model version", "Name", "Model", "Agent", "id", "UUID")
"""Where a record names its model, best first: rows without a version fall back to a looser name."""

LINKED = (
    "Baichuan2-Chat 13B (8-shot)",
    "Baichuan2-Chat 7B (8-shot)",
    "ChatGPT-4o-latest-2025-03-27",
    "Claude 3.7 Sonnet (2025-02-19)",
    "Codestral (25.01)",
    "DBRX Instruct",
    "DeepSeek LLM Chat (67B)",
    "Falcon-Instruct (40B)",
    "Falcon-Instruct (7B)",
    "Falcon-rw-1.3B",
    "GLM (130B)",
    "GPT-J (6B)",
    "GPT-Neo-2.7B",
    "GPT-NeoX (20B)",
    "GPT-NeoX 20B",
    "GPT3 175B",
    "InternLM-Chat 7B (8-shot)",
    "LLAMA 2-CHAT 13B (8-shot)",
    "LLAMA 2-CHAT 70B (8-shot)",
    "LLAMA 2-CHAT 7B (8-shot)",
    "Minerva 540B",
    "Minerva 62B",
    "Minerva 8B",
    "Mixtral (8x7B 32K seqlen)",
    "OLMo (7B)",
    "PaLM 8B",
    "Pythia (12B)",
    "Pythia (6.9B)",
    "QWEN-CHAT 1.8B (0-shot)",
    "QWEN-CHAT 1.8B (8-shot)",
    "QWEN-CHAT 14B (0-shot)",
    "QWEN-CHAT 14B (8-shot)",
    "QWEN-CHAT 7B (0-shot)",
    "QWEN-CHAT 7B (8-shot)",
    "Qwen 2.5 - 72b - Instruct",
    "Qwen-Turbo (2024-11-01)",
    "Qwen1.5 (72B)",
    "Qwen1.5 Chat (110B)",
    "RedPajama-INCITE-Base (7B)",
    "RedPajama-INCITE-Base-v1 (3B)",
    "T5 (11B)",
    "UL2 (20B)",
    "Vicuna v1.3 (7B)",
    "XVERSE 13B",
    "XVERSE-13B",
    "chatgpt-4o-latest-2025-01-29",
    "chatgpt-4o-latest-2025-03-27",
    "code-cushman-001 (12B)",
    "gpt-3.5-turbo-0301",
)
"""Names outside Epoch's list of versions that state size, tuning and version, so that they name one model."""

SOURCE = Source(
    source_id="epoch_benchmark_stitching",
    title="A Rosetta Stone for AI benchmarks",
    authors="Epoch AI",
    year=2025,
    repository="epoch-research/benchmark-stitching",
    upstream_commit="f87d3cc8e8a8f8471be475ebce58fb9a73b4e756",
    licence="MIT (repository); Epoch's data are otherwise CC BY 4.0",
    redistribution="MIT and CC BY 4.0: shipped as our own table with citation",
    headline_metric="exact_match",
    headline_eval_set="mmlu",
    not_upstream=(VERSIONS, OWN, DISTILLED, ATTRIBUTES, *(f"{PREFIX}{name}.csv" for name in FILES)),
    notes=(
        "Scores of public models on 37 benchmarks, copied by Epoch AI from leaderboards and papers, and 541 runs of "
        "its own (eval set 'epoch:<task>'). There are no model sizes and no compute in the snapshot: useful for "
        "saturation and latent-capability fits, not for controlled scaling, and n_definition is null. Upstream writes "
        "scores as percent or as shares, by file; all shares here run from 0 to 1. Metric benchmark_value keeps "
        "numbers that are no share; the end of the eval set says what they are (elo, minutes, dollars, votes), and "
        "for costs and errors lower is better. Shots, prompts and scaffolds differ within a benchmark; n_shots is "
        "null where the record says 'few' or nothing. Where a model occurs again on the same benchmark with the same "
        "shots (another paper, agent or prompt), the later records get the suffix '#2', '#3' ... on the eval set and "
        "are flagged repeated_report, so that a model counts once. A run is a model version where the record names "
        "one, else the looser name of the record (study 'unlinked'): the same model may then stand twice. "
        "release_date and is_distilled come from Epoch's lists. Low, high of metr's time horizon are its interval. "
        "Epoch's own scores are the best over scorers; std_error is given where exactly one scorer has that score. "
        "Attributes of benchmarks (42 rows) and columns of notes are left out."
    ),
    bibtex=(
        "@misc{epoch2025rosetta, title={A Rosetta Stone for {AI} benchmarks}, author={{Epoch AI}}, year={2025}, "
        "howpublished={GitHub repository epoch-research/benchmark-stitching}}"
    ),
    set_aside=(
        SetAside(
            VERSIONS,
            N_VERSIONS,
            "read into runs: family, organisation and release date of the models that have a score",
        ),
        SetAside(DISTILLED, N_DISTILLED, "read into runs: whether a model that has a score is distilled"),
        SetAside(ATTRIBUTES, N_ATTRIBUTES, "attributes of benchmarks, which no fit of the warehouse uses"),
        SetAside(f"{PREFIX}anli.csv", 3, "models named without a score"),
        SetAside(f"{PREFIX}arc_ai2.csv", 2, "models named without a score"),
        SetAside(f"{PREFIX}osuniverse.csv", 1, "a record that is empty but for its id"),
        SetAside(f"{PREFIX}superglue.csv", 1, "a model named without a score"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per model, one eval per score."""
    tables = [_external(raw, name) for name in FILES]
    require(
        "epoch_benchmark_stitching",
        files=(sorted(raw.files(f"{PREFIX}*.csv")), [f"{PREFIX}{name}.csv" for name in sorted(FILES)]),
        records=(sum(rows for _, rows in tables), N_EXTERNAL),
        attributes=(raw.csv(ATTRIBUTES, {"benchmark": pl.String}, rows=N_ATTRIBUTES).height, N_ATTRIBUTES),
    )
    scores = pl.concat([*(frame for frame, _ in tables), _own(raw)], how="diagonal")
    evals = _one_score_twice(_numbered(_without_rounded_errors(scores))).with_columns(
        run_id=_run_id(), split=pl.lit("all"), value_origin=pl.lit("reported")
    )
    return {
        "runs": conform("runs", _runs(raw, scores), "epoch_benchmark_stitching"),
        "evals": conform("evals", evals.drop("name", "is_version"), "epoch_benchmark_stitching"),
    }


def _run_id() -> pl.Expr:
    return pl.concat_str(pl.lit("epoch_benchmark_stitching/"), pl.col("name"))


def _number(column: str) -> pl.Expr:
    return pl.col(column).str.strip_chars().str.strip_chars_start("$").str.strip_suffix("%").cast(pl.Float64)


def _external(raw: RawFolder, benchmark: str) -> tuple[pl.DataFrame, int]:
    """Scores of one file, and its number of records."""
    file = f"{PREFIX}{benchmark}.csv"
    header = raw.text(file).split("\n", 1)[0].strip().split(",")
    scores = FILES[benchmark]
    wanted = [c for s in scores for c in (s.column, s.error, s.low, s.high) if c]
    names = [column for column in NAME_COLUMNS if column in header]
    extra = [column for column in ("Shots",) if column in header]
    frame = raw.csv(file, dict.fromkeys([*names, *extra, *wanted], pl.String))
    frame = frame.with_columns(
        name=pl.coalesce(pl.col(column).str.strip_chars() for column in names),
        is_version=pl.col("Model version").is_not_null() if "Model version" in names else pl.lit(value=False),
        n_shots=pl.col("Shots").str.extract(r"^(\d+)").cast(pl.Int64) if extra else pl.lit(None, dtype=pl.Int64),
    )
    parts = []
    for score in scores:
        factor = 1.0 if score.factor is None else score.factor
        nothing = pl.lit(None, dtype=pl.Float64)
        parts.append(
            frame.select(
                "name",
                "is_version",
                "n_shots",
                "raw_file",
                "raw_row",
                metric=pl.lit(score.metric),
                eval_set=pl.lit(f"{benchmark}:{score.suffix}" if score.suffix else benchmark),
                unit=pl.lit("unitless" if score.factor is None else "fraction"),
                value=_number(score.column) * factor,
                std_error=_number(score.error) * factor if score.error else nothing,
                low=_number(score.low) if score.low else nothing,
                high=_number(score.high) if score.high else nothing,
                raw_field=pl.lit(score.column),
            ).drop_nulls("value")
        )
    return pl.concat(parts), frame.height


def _own(raw: RawFolder) -> pl.DataFrame:
    """Epoch's own runs; the error belongs to the scorer whose rounded score is the best one."""
    frame = raw.csv(
        OWN,
        {"task": pl.String, "model": pl.String, "Best score (across scorers)": pl.Float64, "Scores": pl.String},
        rows=N_OWN,
    )
    single = ~pl.col("Scores").str.contains(",", literal=True)
    return frame.select(
        "raw_file",
        "raw_row",
        name=pl.col("model").str.strip_chars(),
        is_version=pl.lit(value=True),
        metric=pl.lit("task_score"),
        eval_set=pl.concat_str(pl.lit("epoch:"), "task"),
        unit=pl.lit("fraction"),
        value="Best score (across scorers)",
        std_error=pl.when(single).then(pl.col("Scores").str.extract("±([0-9.]+)").cast(pl.Float64)),
        raw_field=pl.lit("Best score (across scorers)"),
    )


def _numbered(scores: pl.DataFrame) -> pl.DataFrame:
    """Number the records of one model on one benchmark, and flag all but the first."""
    nth = pl.int_range(1, pl.len() + 1).over("name", "metric", "eval_set", "n_shots")
    ordered = scores.sort("eval_set", "metric", "raw_row", maintain_order=True).with_columns(nth=nth)
    later = pl.col("nth") > 1
    return ordered.with_columns(
        eval_set=pl.when(later).then(pl.concat_str("eval_set", pl.lit("#"), "nth")).otherwise("eval_set"),
        flag=pl.when(later).then(pl.lit("repeated_report")),
        flag_reason=pl.when(later).then(
            pl.lit(
                "an earlier record has the same model, benchmark and shots, from another report, agent or prompt; "
                "set aside here so that a model counts once"
            )
        ),
    ).drop("nth")


def _without_rounded_errors(scores: pl.DataFrame) -> pl.DataFrame:
    """Drop the errors that were rounded to 0: no share between 0 and 1 is known exactly."""
    rounded = (
        (pl.col("unit") == "fraction") & (pl.col("std_error") == 0) & (pl.col("value") > 0) & (pl.col("value") < 1)
    )
    found = scores.filter(rounded).height
    if found != N_ROUNDED_ERRORS:
        raise DataError(f"epoch_benchmark_stitching: {found} errors are rounded to 0, expected {N_ROUNDED_ERRORS}")
    return scores.with_columns(std_error=pl.when(~rounded.fill_null(value=False)).then("std_error"))


def _one_score_twice(evals: pl.DataFrame) -> pl.DataFrame:
    """Flag the easy half of ARC where a record repeats the score of the challenge half."""
    is_arc = pl.col("eval_set").str.starts_with("arc_ai2:")
    repeats = is_arc & (pl.col("value").n_unique().over("raw_file", "raw_row") == 1)
    repeats &= (pl.len().over("raw_file", "raw_row") == 2) & pl.col("eval_set").str.starts_with("arc_ai2:easy")
    models = evals.filter(repeats)["name"].sort().to_list()
    if models != REPEATED_ARC:
        raise DataError(
            f"epoch_benchmark_stitching: ARC easy repeats ARC challenge for {models}, expected {REPEATED_ARC}"
        )
    return evals.with_columns(
        flag=pl.when(repeats).then(pl.lit("repeats_other_score")).otherwise("flag"),
        flag_reason=pl.when(repeats)
        .then(pl.lit("the record gives the score of ARC challenge for ARC easy as well"))
        .otherwise("flag_reason"),
    )


def _runs(raw: RawFolder, scores: pl.DataFrame) -> pl.DataFrame:
    """Every model that has a score, with what Epoch's lists say about it."""
    text = ["id", "Model", "Version release date", "Hugging Face developer id"]
    versions = raw.csv(VERSIONS, dict.fromkeys(text, pl.String), rows=N_VERSIONS).with_columns(
        pl.col("id").str.strip_chars()
    )
    distilled = raw.csv(DISTILLED, {"model": pl.String, "distilled": pl.Boolean}, rows=N_DISTILLED)
    joined = (
        scores.group_by("name", maintain_order=True)
        .agg(pl.col("is_version").any())
        .join(versions.drop("raw_file", "raw_row"), left_on="name", right_on="id", how="left")
        .join(distilled.select(name=pl.col("model").str.strip_chars(), is_distilled="distilled"), on="name", how="left")
    )
    return joined.select(
        "is_distilled",
        run_id=_run_id(),
        study=pl.when("is_version").then(pl.lit("versions")).otherwise(pl.lit("unlinked")),
        model_name="name",
        model_id=pl.when("is_version")
        .then(printed_name(model_id(pl.col("name"))))
        .when(pl.col("name").is_in(LINKED))
        .then(printed_name(pl.col("name"))),
        family=pl.coalesce("Model", "name"),
        organisation="Hugging Face developer id",
        release_date=pl.col("Version release date").str.to_date("%Y-%m-%d"),
    )
