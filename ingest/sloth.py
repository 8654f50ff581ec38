"""Sloth: benchmark scores of 299 public models in families, base and instructed (arXiv 2412.06540).

Four overlapping files hold one set of scores. Each score is kept once, from the widest file, after
checking that the others repeat it; scores that source obs_scaling holds too are flagged.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from ingest._long import melt
from ingest._model_ids import model_id
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform
from scalingdb.errors import DataError

WIDE, FIRST, SECOND, BOTH = "data/data_v2.csv", "data/df_full_v1.csv", "data/df_full_v2.csv", "data/df_full.csv"
ROWS = {WIDE: 188, FIRST: 168, SECOND: 216, BOTH: 98}
N_FIRST_ONLY, N_NORMALISED = 19, 111

# name in the wide file, name in the narrow one, metric, eval set, shots: the two Open LLM Leaderboards
CLASSIC = (
    ("ARC", "arc", "acc_norm", "arc_challenge", 25),
    ("HellaSwag", "hellaswag", "acc_norm", "hellaswag", 10),
    ("MMLU", "mmlu", "acc", "mmlu", 5),
    ("TruthfulQA", "truthfulqa", "mc2", "truthfulqa_mc", 0),
    ("Winogrande", "winogrande", "acc", "winogrande", 5),
    ("GSM8K", "gsm8k", "exact_match", "gsm8k", 5),
)
LATER = (
    ("IFEval", "ifeval", "task_score", "leaderboard_ifeval", 0),
    ("BBH", "bbh", "acc_norm", "leaderboard_bbh", 3),
    ("MATH Lvl 5", "math", "exact_match", "leaderboard_math_hard", 4),
    ("MMLU-PRO", "mmlu-pro", "acc", "leaderboard_mmlu_pro", 5),
    ("GPQA", "gpqa", "acc_norm", "leaderboard_gpqa", 0),
    ("MUSR", "musr", "acc_norm", "leaderboard_musr", 0),
)
UNCHANGED = ("ifeval", "math")
"""Later benchmarks with chance level 0: the normalised scale is the raw one."""
OTHERS = (
    ("XWinograd", "acc", "xwinograd"),
    ("HumanEval", "pass_at_1", "humaneval"),
    ("Arena-Elo", "task_score", "chatbot_arena_elo_rescaled"),
    ("MTBench", "task_score", "mt_bench"),
)
PARTS = {
    "bbh_": ("acc_norm", "leaderboard_bbh_", 3, 24),
    "gpqa_": ("acc_norm", "leaderboard_gpqa_", 0, 3),
    "math_": ("exact_match", "leaderboard_math_", 4, 7),
    "musr_": ("acc_norm", "leaderboard_musr_", 0, 3),
    "hendrycksTest-": ("acc", "mmlu_", 5, 57),
}
"""Prefix of sub-task columns: metric, eval set, shots, number of columns."""

PYTHIA = tuple(f"pythia-{size}" for size in ("70m", "160m", "410m", "1b", "1.4b", "2.8b", "6.9b", "12b"))
PYTHIA_DEDUPED = tuple(f"pythia-{size}" for size in ("70m", "1b", "1.4b", "2.8b", "6.9b"))
"""Named like the plain models, but scored as the deduplicated ones (obs_scaling holds the same numbers)."""
_SHARED = """
    bloom bloom-1b1 bloom-3b bloom-560m bloom-7b1 codegen-16b-nl codegen-6b-nl codellama-13b
    codellama-13b-instruct codellama-34b codellama-70b codellama-7b codellama-7b-instruct deepseek-coder-1.3b-base
    deepseek-coder-33b-base deepseek-coder-6.7b-base dolly-v2-12b falcon-180b falcon-40b falcon-7b falcon-rw-1b
    gemma-2b gemma-7b gpt-j-6b gpt-neo-1.3b gpt-neo-125m gpt-neo-2.7b gpt-neox-20b gpt2 gpt2-large internlm2-20b
    internlm2-7b llama-13b llama-2-13b llama-2-13b-chat llama-2-70b llama-2-70b-chat llama-2-7b llama-2-7b-chat
    llama-30b llama-65b llama-7b meta-llama-3-70b meta-llama-3-8b mixtral-8x22b-v0.1 mixtral-8x7b-v0.1 mpt-30b
    mpt-7b olmo-1b olmo-7b open_llama_13b open_llama_3b open_llama_3b_v2 open_llama_7b open_llama_7b_v2 opt-1.3b
    opt-125m opt-13b opt-2.7b opt-30b opt-350m opt-6.7b opt-66b phi-1_5 phi-2 qwen-14b qwen-72b qwen-7b
    qwen1.5-0.5b qwen1.5-1.8b qwen1.5-110b qwen1.5-14b qwen1.5-32b qwen1.5-4b qwen1.5-72b qwen1.5-7b
    redpajama-incite-base-3b-v1 redpajama-incite-base-7b-v0.1 rwkv-4-14b-pile rwkv-4-169m-pile rwkv-4-1b5-pile
    rwkv-4-3b-pile rwkv-4-430m-pile rwkv-4-7b-pile stablelm-2-1_6b stablelm-base-alpha-3b stablelm-base-alpha-7b
    stablelm-base-alpha-7b-v2 starcoder2-15b starcoder2-3b starcoder2-7b starcoderbase starcoderbase-1b
    starcoderbase-3b starcoderbase-7b xglm-1.7b xglm-4.5b xglm-564m xglm-7.5b yi-34b yi-34b-200k yi-6b yi-6b-200k
"""
SHARED = frozenset(_SHARED.split()).union(PYTHIA_DEDUPED)
"""Models whose six classic scores are those of obs_scaling, to the digits given."""
_OWN_HUMANEVAL = """
    codegen-16b-nl codegen-6b-nl codellama-13b codellama-34b codellama-70b codellama-7b gemma-2b gemma-7b gpt-j-6b
    gpt-neo-2.7b meta-llama-3-8b
"""
OWN_HUMANEVAL = frozenset(_OWN_HUMANEVAL.split())
"""Models of `SHARED` with another HumanEval score here than there, or none there."""
WITHOUT_ARC = frozenset({"meta-llama-3-8b", "meta-llama-3-70b"})
"""Models of `SHARED` whose ARC score obs_scaling lacks."""
CHATS = frozenset({"dolly-v2-12b", "llama-2-7b-chat", "llama-2-13b-chat", "llama-2-70b-chat"})

WRONG_SIZE = {
    "stablelm-2-1_6b": (6.0, 1.6),
    "stablelm-2-1_6b-chat": (6.0, 1.6),
    "rwkv-4-1b5-pile": (1.0, 1.5),
    "athena-gemma-2-2b-it": (9.0, None),
    "mixtral-8x7b-v0.1": (7.0, None),
    "mixtral-8x7b-instruct-v0.1": (7.0, None),
    "mixtral-8x22b-v0.1": (22.0, None),
    "mixtral-8x22b-instruct-v0.1": (22.0, None),
}
"""Sizes (billions) that were cut wrongly out of the model's name: what the files hold, what holds instead."""

SOURCE = Source(
    source_id="sloth",
    title="Sloth: scaling laws for LLM skills to predict multi-benchmark performance across families",
    authors="Felipe Maia Polo, Seamus Somerstep, Leshem Choshen, Yuekai Sun, Mikhail Yurochkin",
    year=2024,
    arxiv_id="2412.06540",
    repository="felipemaiapolo/statistical-scaling-law",
    upstream_commit="ec189676fb1ff21115536651f46bf9d279578cb8",
    licence="MIT",
    redistribution="MIT licence; shipped as our own table with citation",
    headline_metric="acc",
    headline_eval_set="mmlu",
    n_definition="n_params",
    notes=(
        "Scores of the first Open LLM Leaderboard (six benchmarks), of the second (six, eval sets leaderboard_*), "
        "their sub-tasks, and a few others, for models in families. Four overlapping files agree wherever they "
        "overlap, so each score stands here once. The file of the second leaderboard mixes two scales by row: 105 "
        "rows are raw scores rounded to two decimals (equal to those of the wide file), 111 are normalised so that "
        "chance is 0; the latter have metric score_above_chance, except IFEval and MATH, whose chance level is 0. The "
        "normalised values of BBH and MUSR are means of normalised sub-tasks and cannot be undone. l3-pneuma-8b "
        "occurs twice with different scores: runs l3-pneuma-8b-1 and -2. n_tokens and train_flops of a fine-tuned "
        "model are those of its base model; train_flops = 6 n_params n_tokens exactly. Sizes were cut out of model "
        "names: stablelm-2-1_6b (6.0, here 1.6) and rwkv-4-1b5 (1.0, here 1.5) are corrected, and n_params of Mixtral "
        "(one expert's size) and of athena-gemma-2-2b-it (9 against 2 in its name) is null; train_flops is null in "
        "these eight. family follows the narrow files, which keep instructed models apart. The files' dates are those "
        "of leaderboard entries, not releases, and are left out. Rows flagged duplicate_source hold the same "
        "evaluation as source obs_scaling: the six classic scores of 108 models (two of them without ARC), all "
        "XWinograd scores, 67 of the HumanEval scores, and the four Arena and MT-Bench scores. Five Pythia models "
        "(70m, 1b, 1.4b, 2.8b, 6.9b) carry the scores of their deduplicated versions under the plain name; model_id "
        "says so. For 160m, 410m and 12b only XWinograd and HumanEval are those of the deduplicated version. "
        "Recomputable: the low-rank structure of the benchmarks; published leave-one-family-out errors were not "
        "checked."
    ),
    bibtex=(
        "@article{polo2024sloth, title={Sloth: scaling laws for {LLM} skills to predict multi-benchmark performance "
        "across families}, author={Maia Polo, Felipe and Somerstep, Seamus and Choshen, Leshem and Sun, Yuekai and "
        "Yurochkin, Mikhail}, journal={arXiv preprint arXiv:2412.06540}, year={2024}}"
    ),
    set_aside=(
        SetAside(FIRST, ROWS[FIRST] - N_FIRST_ONLY, f"models whose scores stand in {WIDE}"),
        SetAside(SECOND, ROWS[SECOND] - N_NORMALISED, f"models whose scores stand in {WIDE}"),
        SetAside(BOTH, ROWS[BOTH], f"the join of {FIRST} and {SECOND}"),
    ),
)

SIZE = {"#Params (B)": "size", "Pretraining Data Size (T)": "tokens", "FLOPs (1E21)": "flops"}


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per model, one score per benchmark and sub-task."""
    wide = _wide(raw)
    first = _narrow(raw, FIRST, tuple(c[1] for c in CLASSIC))
    second = _narrow(raw, SECOND, tuple(c[1] for c in LATER))
    _check_both(raw, first, second)
    first_only = _remainder(wide, first, CLASSIC, FIRST)
    second_only = _remainder(wide, second, LATER, SECOND)
    counts = (first_only.height, second_only.height)
    if counts != (N_FIRST_ONLY, N_NORMALISED):
        raise DataError(f"sloth: {counts} models stand in a narrow file only, expected {N_FIRST_ONLY}, {N_NORMALISED}")
    runs = _runs(wide, first, second, second_only)
    scores = [
        melt(wide, ["model", "raw_file", "raw_row"], _wide_fields(wide)),
        melt(first_only, ["model", "raw_file", "raw_row"], [_field(c[1], *c[2:]) for c in CLASSIC]),
        melt(second_only, ["model", "raw_file", "raw_row"], [_normalised(c) for c in LATER]),
    ]
    evals = _flag(pl.concat(scores)).with_columns(
        run_id=pl.concat_str(pl.lit("sloth/"), "model"), split=pl.lit("all"), value_origin=pl.lit("reported")
    )
    return {"runs": conform("runs", runs, "sloth"), "evals": conform("evals", evals.drop("model"), "sloth")}


def _field(name: str, metric: str, task: str, shots: int | None, unit: str = "fraction") -> dict[str, Any]:
    return {"raw_field": name, "metric": metric, "eval_set": task, "n_shots": shots, "unit": unit}


def _normalised(column: tuple[str, str, str, str, int]) -> dict[str, Any]:
    _, name, metric, task, shots = column
    if name in UNCHANGED:
        return _field(name, metric, task, shots)
    return _field(name, "score_above_chance", task, shots, "fraction_above_chance")


def _wide_fields(wide: pl.DataFrame) -> list[dict[str, Any]]:
    fields = [_field(name, metric, task, shots) for name, _, metric, task, shots in (*CLASSIC, *LATER)]
    fields += [_field(name, metric, task, None) for name, metric, task in OTHERS]
    for prefix, (metric, stem, shots, count) in PARTS.items():
        names = [name for name in wide.columns if name.startswith(prefix)]
        if len(names) != count:
            raise DataError(f"sloth, {WIDE!r}: {len(names)} columns {prefix}* where {count} are expected")
        fields += [_field(name, metric, stem + name.removeprefix(prefix), shots) for name in names]
    return fields


def _wide(raw: RawFolder) -> pl.DataFrame:
    names = pl.read_csv(raw.path(WIDE), n_rows=0).columns
    text = {"Model": pl.String, "Family": pl.String, "Family2": pl.String, "Instruct": pl.Boolean}
    numbers = [name for name in names if name and name not in {*text, "date"}]
    wide = raw.csv(WIDE, {**text, **dict.fromkeys(numbers, pl.Float64)}, rows=ROWS[WIDE]).rename(
        {**SIZE, "Model": "model", "Family2": "family", "Instruct": "is_instruct"}
    )
    return _check_flops(wide, WIDE)


def _narrow(raw: RawFolder, name: str, scores: tuple[str, ...]) -> pl.DataFrame:
    columns: dict[str, Any] = {"model": pl.String, "family": pl.String}
    table = raw.csv(name, columns | dict.fromkeys((*SIZE.values(), *scores), pl.Float64), rows=ROWS[name])
    number = pl.col("model").cum_count().over("model").cast(pl.String)
    repeated = pl.len().over("model") > 1
    table = table.with_columns(
        model=pl.when(repeated).then(pl.concat_str("model", pl.lit("-"), number)).otherwise("model")
    )
    return _check_flops(table, name)


def _check_flops(table: pl.DataFrame, name: str) -> pl.DataFrame:
    odd = table.filter((6 * pl.col("size") * pl.col("tokens") / pl.col("flops") - 1).abs() > 1e-9)
    if odd.height:
        raise DataError(f"sloth, {name!r}: FLOPs are not 6 N D in {odd.height} row(s), first {odd['model'][0]!r}")
    return table


def _check_both(raw: RawFolder, first: pl.DataFrame, second: pl.DataFrame) -> None:
    """Account for the file of models with both leaderboards: it is the join of the two others."""
    scores = tuple(c[1] for c in (*CLASSIC, *LATER))
    both = _narrow(raw, BOTH, scores).drop("raw_file", "raw_row").sort("model")
    join = first.join(second, on=["model", "family", *SIZE.values()], suffix="_second").select(both.columns)
    if not join.sort("model").equals(both):
        raise DataError(f"sloth: {BOTH!r} is not the join of {FIRST!r} and {SECOND!r}")


def _remainder(
    wide: pl.DataFrame, narrow: pl.DataFrame, columns: tuple[tuple[str, str, str, str, int], ...], name: str
) -> pl.DataFrame:
    """Rows of a narrow file that the wide one lacks, after checking that all others repeat it.

    Raises
    ------
    DataError
        If a model that both hold differs in a score, size or family.
    """
    pairs = {c[1]: c[0] for c in columns} | {key: key for key in SIZE.values()}
    joined = narrow.join(
        wide.select("model", **{f"wide {own}": theirs for own, theirs in (pairs | {"family": "family"}).items()}),
        on="model",
    )
    # the same doubles were printed by different versions of a library: they differ in the last digit
    close = [((pl.col(own) - pl.col(f"wide {own}")).abs() < 1e-12).fill_null(value=False) for own in pairs]
    same_family = pl.col("family") == pl.col("wide family")
    odd = joined.filter(~pl.all_horizontal(same_family, *close))
    if odd.height:
        raise DataError(f"sloth: {name!r} and {WIDE!r} differ in {odd.height} model(s), first {odd['model'][0]!r}")
    return narrow.join(wide, on="model", how="anti")


def _runs(wide: pl.DataFrame, first: pl.DataFrame, second: pl.DataFrame, normalised: pl.DataFrame) -> pl.DataFrame:
    rounded = second.join(normalised, on="model", how="anti")
    # the two scales of the later file are told apart by the rounding
    cells = pl.all_horizontal((pl.col(c[1]) * 100 - (pl.col(c[1]) * 100).round()).abs() < 1e-9 for c in LATER)
    if not rounded.select(cells.all()).item() or normalised.select(cells.any()).item():
        raise DataError(f"sloth, {SECOND!r}: rounding does not tell raw from normalised rows")
    keep = ["model", "family", *SIZE.values()]
    models = pl.concat(
        [wide.select(*keep, "is_instruct"), first.select(keep), second.select(keep)], how="diagonal"
    ).unique("model", keep="first", maintain_order=True)
    for model, (stated, _) in WRONG_SIZE.items():
        if models.filter(pl.col("model") == model)["size"].to_list() != [stated]:
            raise DataError(f"sloth: the size of {model!r} is no longer {stated}: remove its correction")
    size = pl.when(pl.col("model").is_in(list(WRONG_SIZE))).then(
        pl.col("model").replace_strict({m: new for m, (_, new) in WRONG_SIZE.items()}, default=None)
    )
    return models.select(
        "family",
        "is_instruct",
        run_id=pl.concat_str(pl.lit("sloth/"), "model"),
        study=pl.lit("sloth"),
        model_name="model",
        model_id=pl.when(pl.col("model").is_in(PYTHIA_DEDUPED))
        .then(pl.concat_str("model", pl.lit("-deduped")))
        .otherwise(model_id(pl.col("model").str.replace(r"^(l3-pneuma-8b)-\d$", "$1"))),
        architecture=pl.when(pl.col("model").str.starts_with("mixtral"))
        .then(pl.lit("mixture-of-experts"))
        .when(pl.col("model").str.contains("^(rwkv|recurrentgemma)"))
        .then(pl.lit("other"))
        .otherwise(pl.lit("decoder")),
        n_params=(size.otherwise("size") * 1e9).round(),
        n_tokens=(pl.col("tokens") * 1e12).round(),
        train_flops=pl.when(~pl.col("model").is_in(list(WRONG_SIZE))).then(pl.col("flops") * 1e21),
    )


def _flag(scores: pl.DataFrame) -> pl.DataFrame:
    """Flag the evaluations that obs_scaling holds as well."""
    classic = pl.col("eval_set").is_in([c[3] for c in CLASSIC]) & pl.col("model").is_in(list(SHARED))
    only_here = (pl.col("eval_set") == "arc_challenge") & pl.col("model").is_in(list(WITHOUT_ARC))
    code = (pl.col("eval_set") == "humaneval") & pl.col("model").is_in(list((SHARED - OWN_HUMANEVAL).union(PYTHIA)))
    chat = pl.col("eval_set").is_in([c[2] for c in OTHERS[2:]]) & pl.col("model").is_in(list(CHATS))
    copied = (classic & ~only_here) | code | chat | (pl.col("eval_set") == "xwinograd")
    return scores.with_columns(
        flag=pl.when(copied).then(pl.lit("duplicate_source")),
        flag_reason=pl.when(copied).then(
            pl.lit("source obs_scaling holds the same evaluation of this model; set aside here so that it counts once")
        ),
    )
