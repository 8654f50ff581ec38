"""Observational scaling laws: benchmark scores of 148 public base models and 27 instructed ones (arXiv 2405.10938)."""

from __future__ import annotations

import re
from typing import Any

import polars as pl

from ingest._long import melt
from ingest._model_ids import model_id
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform
from scalingdb.errors import DataError

BASE = "eval_results/base_llm_benchmark_eval.csv"
SMALL = "eval_results/base_llm_benchmark_eval_sub_10b.csv"
EMERGENT = "eval_results/base_llm_emergent_capability_eval.csv"
LEADERBOARD = "eval_results/base_llm_leaderboard_v2_eval.csv"
PROMPTED = "eval_results/base_llm_post_training_eval.csv"
INSTRUCT = "eval_results/instruct_llm_benchmark_eval.csv"
AGENTS = "eval_results/instruct_llm_agent_eval.csv"
ROWS = {BASE: 148, SMALL: 92, EMERGENT: 84, LEADERBOARD: 72, PROMPTED: 96, INSTRUCT: 27, AGENTS: 27}
N_NORMALISED = 108
N_BBH_TASKS = 27

EXPERTS = ("Mixtral", "DeepSeek-V2", "DeepSeek-MoE", "DeepSeek-Coder-V2", "Jamba")
EXPERT_MODELS = ("Qwen/Qwen2-57B-A14B",)
ACTIVE_SIZES = {
    "mistralai/Mixtral-8x22B-v0.1": 39.0,
    "deepseek-ai/DeepSeek-V2": 21.0,
    "deepseek-ai/DeepSeek-Coder-V2-Base": 21.0,
    "ai21labs/Jamba-v0.1": 12.0,
}
"""Mixtures of experts whose stated size (billions) is the active one; of the others it is the total."""
UNCLEAR_SIZES = {"Qwen/Qwen2-57B-A14B": 24.0}
"""Neither the total (57) nor the active size (14) of its name."""

TOKENS_OFF = {"cerebras/btlm-3b-8k-base": (627.0, 0.627)}
"""Trillions of tokens as the table gives them, and in truth: the model saw 627 billion (arXiv 2309.11568)."""

# column, metric, eval set, shots: as the first Open LLM Leaderboard defines them
CLASSIC = (
    ("MMLU", "acc", "mmlu", 5),
    ("ARC-C", "acc_norm", "arc_challenge", 25),
    ("HellaSwag", "acc_norm", "hellaswag", 10),
    ("Winograd", "acc", "winogrande", 5),
    ("TruthfulQA", "mc2", "truthfulqa_mc", 0),
    ("GSM8K", "exact_match", "gsm8k", 5),
    ("XWinograd", "acc", "xwinograd", None),
    ("HumanEval", "pass_at_1", "humaneval", None),
)
SECOND = (
    ("leaderboard_bbh", "acc_norm", "leaderboard_bbh", 3),
    ("leaderboard_gpqa", "acc_norm", "leaderboard_gpqa", 0),
    ("leaderboard_ifeval", "task_score", "leaderboard_ifeval", 0),
    ("leaderboard_math_hard", "exact_match", "leaderboard_math_hard", 4),
    ("leaderboard_mmlu_pro", "acc", "leaderboard_mmlu_pro", 5),
    ("leaderboard_musr", "acc_norm", "leaderboard_musr", 0),
)
CHAT = (
    ("Arena-Elo", "task_score", "chatbot_arena_elo_rescaled", None),
    ("MTBench", "task_score", "mt_bench", None),
    *((name, metric, task, None) for name, metric, task, _ in CLASSIC if name not in {"Winograd", "XWinograd"}),
    ("Winogrande", "acc", "winogrande", None),
)
EMERGENT_FIELD = re.compile(r"(?P<task>.+)_(?P<shots>\d+)_(?P<metric>acc|exact_match|bleu)")
PROMPTED_FIELD = re.compile(r"(?P<task>.+)_(?P<shots>\d+)_exact_match,(?P<filter>[^,]+)(?P<norm>,norm)?")

SOURCE = Source(
    source_id="obs_scaling",
    title="Observational Scaling Laws and the Predictability of Language Model Performance",
    authors="Yangjun Ruan, Chris J. Maddison, Tatsunori Hashimoto",
    year=2024,
    arxiv_id="2405.10938",
    repository="ryoungj/ObsScaling",
    upstream_commit="4d6e1e43fd2635d04654aa77d1df9d5266ea0382",
    licence="Apache-2.0",
    redistribution="Apache-2.0 licence; shipped as our own table with citation",
    headline_metric="acc",
    headline_eval_set="mmlu",
    n_definition="n_params",
    notes=(
        "Study 'base': 148 base models of 47 families; the paper's own selection has 21 families. The stated size is "
        "the total count, except for mixtures of experts, where the file mixes definitions: it is the active count of "
        "Mixtral-8x22B, DeepSeek-V2, DeepSeek-Coder-V2 and Jamba (here n_params_active, n_params null), the total of "
        "Mixtral-8x7B and deepseek-moe-16b, and neither for Qwen2-57B-A14B (24, here null). n_tokens are the "
        "pre-training tokens (25 unknown), train_flops = 6 x stated size x n_tokens exactly. The file says 627 "
        "trillion tokens for btlm-3b-8k-base, which saw 627 billion (arXiv 2309.11568): both columns are corrected "
        "here. Eight classic benchmarks "
        "follow the first Open LLM Leaderboard (its shots are given; the column named Winograd is WinoGrande); the "
        "second leaderboard's six are raw, not chance-normalised. Eval sets gsm8k* and bbh* are few-shot prompts with "
        "and without chains of thought; the part after the colon names the answer filter. The raw file also gives "
        "every BBH task normalised, (score - chance) / (1 - chance): the value -1 there is a score of 0 on a task "
        "with chance 1/2, no missing value. These 108 columns are recomputed and not repeated; chance_level is what "
        "they imply. The four means over tasks are kept both ways (metric score_above_chance for the normalised "
        "ones). Study 'instruct': 27 chat models with the sizes and tokens of their base models (wizardlm-30b-v1.0 "
        "says 3.0T tokens, its base saw 1.4T). Arena Elo is rescaled to 0..1 in a way the file does not state, "
        "MT-Bench is divided by 10. Percentages of AgentBench and AgentBoard are divided by 100; agentbench_oa, its "
        "overall score, is no share; suffix pr is the progress rate, sr the success rate. rwkv-raven-14b is listed as "
        "base but is instruction-tuned. The second base file is the subset of 92 models below 10B and adds nothing. "
        "What can be recomputed: the principal components of the eight benchmarks (first one 0.84 of the variance on "
        "124 complete rows) and their regression on log compute within families; the paper imputes missing cells "
        "first."
    ),
    bibtex=(
        "@inproceedings{ruan2024observational, title={Observational Scaling Laws and the Predictability of Language "
        "Model Performance}, author={Ruan, Yangjun and Maddison, Chris J. and Hashimoto, Tatsunori}, "
        "booktitle={Advances in Neural Information Processing Systems}, year={2024}, note={arXiv:2405.10938}}"
    ),
    set_aside=(
        SetAside(SMALL, ROWS[SMALL], f"models below 10B; the same scores stand in {BASE}"),
        SetAside(PROMPTED, 2, "models named without a score"),
    ),
)

Field = dict[str, Any]


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Base models, then instructed ones, with every score of the six tables."""
    base = _models(raw, BASE, CLASSIC)
    instruct = _models(raw, INSTRUCT, CHAT)
    _check_subset(raw, base)
    runs = pl.concat([_runs(base, "base", is_instruct=False), _runs(instruct, "instruct", is_instruct=True)])
    scores = [
        _melted(base, _fields(CLASSIC)),
        _table(raw, EMERGENT, base, _emergent_fields(raw)),
        _table(raw, LEADERBOARD, base, _fields(SECOND)),
        _prompted(raw, base),
        _melted(instruct, _fields(CHAT)),
        _table(raw, AGENTS, instruct, _agent_fields(raw)),
    ]
    evals = pl.concat([conform("evals", frame, "obs_scaling") for frame in scores])
    return {"runs": conform("runs", runs, "obs_scaling"), "evals": evals}


def _fields(columns: tuple[tuple[str, str, str, int | None], ...]) -> list[Field]:
    return [_field(name, metric, task, shots) for name, metric, task, shots in columns]


def _field(name: str, metric: str, task: str, shots: int | None, **more: object) -> Field:
    scale = 1.0 if "scale" not in more else more.pop("scale")
    return {
        "raw_field": name,
        "metric": metric,
        "eval_set": task,
        "n_shots": shots,
        "unit": more.pop("unit", "fraction"),
        "scale": scale,
        "chance_level": more.pop("chance_level", None),
    }


def _models(raw: RawFolder, name: str, columns: tuple[tuple[str, str, str, int | None], ...]) -> pl.DataFrame:
    numbers = ["Model Size (B)", "Pretraining Data Size (T)", "FLOPs (1E21)", *(column[0] for column in columns)]
    models = raw.csv(
        name, {"Model": pl.String, "Model Family": pl.String, **dict.fromkeys(numbers, pl.Float64)}, rows=ROWS[name]
    ).with_columns(run_id=pl.concat_str(pl.lit("obs_scaling/"), "Model"))
    flops = 6 * pl.col("Model Size (B)") * pl.col("Pretraining Data Size (T)")
    odd = models.filter((flops / pl.col("FLOPs (1E21)") - 1).abs() > 1e-9)
    if odd.height:
        raise DataError(f"obs_scaling, {name!r}: FLOPs are not 6 N D in {odd.height} row(s), first {odd['Model'][0]!r}")
    return models


def _runs(models: pl.DataFrame, study: str, *, is_instruct: bool) -> pl.DataFrame:
    for model, (stated, true) in TOKENS_OFF.items():
        is_off = (pl.col("Model") == model) & (pl.col("Pretraining Data Size (T)") == stated)
        if models.filter((pl.col("Model") == model) & ~is_off).height:
            raise DataError(f"obs_scaling: the tokens of {model!r} are no longer {stated}: review its treatment")
        factor = pl.when(is_off).then(true / stated).otherwise(1.0)
        models = models.with_columns(pl.col("Pretraining Data Size (T)", "FLOPs (1E21)") * factor)
    experts = pl.col("Model Family").is_in(EXPERTS) | pl.col("Model").is_in(EXPERT_MODELS)
    size = (pl.col("Model Size (B)") * 1e9).round()
    for model, stated in (ACTIVE_SIZES | UNCLEAR_SIZES).items():
        if not models.filter((pl.col("Model") == model) & (pl.col("Model Size (B)") != stated)).is_empty():
            raise DataError(f"obs_scaling: the size of {model!r} is no longer {stated}: review its treatment")
    return models.select(
        "run_id",
        study=pl.lit(study),
        model_name="Model",
        model_id=model_id(pl.col("Model")),
        family="Model Family",
        architecture=pl.when(experts)
        .then(pl.lit("mixture-of-experts"))
        .when(pl.col("Model Family") == "RWKV")
        .then(pl.lit("other"))
        .otherwise(pl.lit("decoder")),
        n_params=pl.when(~pl.col("Model").is_in([*ACTIVE_SIZES, *UNCLEAR_SIZES])).then(size),
        n_params_active=pl.when(pl.col("Model").is_in(list(ACTIVE_SIZES))).then(size),
        n_tokens=(pl.col("Pretraining Data Size (T)") * 1e12).round(),
        train_flops=pl.col("FLOPs (1E21)") * 1e21,
        is_instruct=pl.lit(is_instruct),
    )


def _check_subset(raw: RawFolder, base: pl.DataFrame) -> None:
    """Account for the file of models below 10B: rows of the first file, up to the last printed digit."""
    names = [column[0] for column in CLASSIC]
    small = raw.csv(SMALL, {"Model": pl.String, **dict.fromkeys(names, pl.Float64)}, rows=ROWS[SMALL])
    joined = small.join(base, on="Model", how="left", suffix="_base")
    same = pl.all_horizontal(
        ((pl.col(name) - pl.col(f"{name}_base")).abs() < 1e-12)
        | (pl.col(name).is_null() & pl.col(f"{name}_base").is_null())
        for name in names
    )
    odd = joined.filter(~same.fill_null(value=False))
    if odd.height:
        raise DataError(f"obs_scaling, {SMALL!r}: {odd.height} row(s) differ from {BASE!r}, first {odd['Model'][0]!r}")


def _melted(frame: pl.DataFrame, fields: list[Field]) -> pl.DataFrame:
    """Long form of the score columns that `fields` describes, as fractions."""
    return (
        melt(frame, ["run_id", "raw_file", "raw_row"], fields)
        .with_columns(value=pl.col("value") * pl.col("scale"), split=pl.lit("all"), value_origin=pl.lit("reported"))
        .drop("scale")
    )


def _read(raw: RawFolder, name: str, models: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """A score table, after checking that each of its models is known."""
    table = raw.csv(name, {"Model": pl.String, **dict.fromkeys(columns, pl.Float64)}, rows=ROWS[name])
    unknown = table.join(models, on="Model", how="anti")
    if unknown.height or table["Model"].is_duplicated().any():
        raise DataError(f"obs_scaling, {name!r}: {unknown.height} model(s) without a row of their own, or repeated")
    return table.with_columns(run_id=pl.concat_str(pl.lit("obs_scaling/"), "Model"))


def _table(raw: RawFolder, name: str, models: pl.DataFrame, fields: list[Field]) -> pl.DataFrame:
    return _melted(_read(raw, name, models, [field["raw_field"] for field in fields]), fields)


def _header(raw: RawFolder, name: str) -> list[str]:
    return pl.read_csv(raw.path(name), n_rows=0).columns[1:]


def _emergent_fields(raw: RawFolder) -> list[Field]:
    matches = [(name, _match(EMERGENT_FIELD, name, EMERGENT)) for name in _header(raw, EMERGENT)]
    return [
        _field(name, m["metric"], m["task"], int(m["shots"]), scale=0.01 if m["metric"] == "bleu" else 1.0)
        for name, m in matches
    ]


def _match(pattern: re.Pattern[str], name: str, file: str) -> dict[str, str | Any]:
    found = pattern.fullmatch(name)
    if found is None:
        raise DataError(f"obs_scaling, {file!r}: column {name!r} is not understood")
    return found.groupdict()


def _agent_fields(raw: RawFolder) -> list[Field]:
    fields = []
    for name in _header(raw, AGENTS):
        bench, _, part = name.partition("-")
        task = {"ABench": "agentbench", "ABoard": "agentboard"}[bench] + "_" + part.lower().replace(" ", "_")
        overall = name == "ABench-OA"
        fields.append(
            _field(
                name,
                "benchmark_value" if overall else "task_score",
                task,
                None,
                unit="unitless" if overall else "fraction",
                scale=1.0 if overall else 0.01,
            )
        )
    return fields


def _prompted(raw: RawFolder, base: pl.DataFrame) -> pl.DataFrame:
    """Few-shot prompts of GSM8K and BBH; normalised task scores give the chance level and go."""
    names = _header(raw, PROMPTED)
    table = _read(raw, PROMPTED, base, names)
    parsed = {name: _match(PROMPTED_FIELD, name, PROMPTED) for name in names}
    chance = _chance_levels(table, parsed)
    fields = []
    for name, m in parsed.items():
        overall = m["task"].endswith("_overall")
        if m["norm"] and not overall:
            continue
        fields.append(
            _field(
                name,
                "score_above_chance" if m["norm"] else "exact_match",
                f"{m['task']}:{m['filter']}",
                int(m["shots"]),
                unit="fraction_above_chance" if m["norm"] else "fraction",
                chance_level=chance.get(_bbh_task(m["task"])),
            )
        )
    return _melted(table, fields)


def _bbh_task(name: str) -> str:
    return re.sub(r"^bbh_(cot_)?fewshot_", "", name)


def _chance_levels(table: pl.DataFrame, parsed: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Chance level of each BBH task, after recomputing every normalised column and every mean.

    Raises
    ------
    DataError
        If a normalised score is not (score - chance) / (1 - chance) with one chance level a task, or
        an overall score is not the mean of its tasks.
    """
    levels: dict[str, float] = {}
    count = 0
    for name, m in parsed.items():
        task = _bbh_task(m["task"])
        if not m["norm"] or task == "overall":
            continue
        count += 1
        score, normalised = table[name.removesuffix(",norm")], table[name]
        if task not in levels:
            found = ((score - normalised) / (1 - normalised)).drop_nans().median()
            levels[task] = round(1 / round(1 / found), 12) if isinstance(found, float) and found > 1e-9 else 0.0
        error = ((score - levels[task]) / (1 - levels[task]) - normalised).abs().max()
        if not isinstance(error, float) or error > 1e-9:
            raise DataError(f"obs_scaling, {PROMPTED!r}: column {name!r} is not the score above chance {levels[task]}")
    if (count, len(levels)) != (N_NORMALISED, N_BBH_TASKS):
        raise DataError(f"obs_scaling, {PROMPTED!r}: {count} normalised columns of {len(levels)} BBH tasks")
    for name, m in parsed.items():
        if not m["task"].endswith("_overall"):
            continue
        stem = m["task"].removesuffix("overall")
        parts = [
            other
            for other, n in parsed.items()
            if n["task"].startswith(stem) and other != name and (n["filter"], n["norm"]) == (m["filter"], m["norm"])
        ]
        error = (table.select(pl.mean_horizontal(parts)).to_series() - table[name]).abs().max()
        if len(parts) != N_BBH_TASKS or not isinstance(error, float) or error > 1e-9:
            raise DataError(f"obs_scaling, {PROMPTED!r}: column {name!r} is not the mean of {len(parts)} tasks")
    return levels
