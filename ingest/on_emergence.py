"""Tasks with and without examples in the prompt: 23 tasks, 24 models, three prompt types (arXiv 2309.01809)."""

from __future__ import annotations

import polars as pl

from ingest._long import melt, require
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform

FILE = "evaluation_scores.csv"
N_ROWS, N_COPIES, N_TASKS, N_MODELS = 5055, 3, 23, 24
MISSING = -100.0
"""Code of a value that was not computed."""

MODELS: dict[str, tuple[str, str, float | None, bool]] = {
    "gpt2": ("gpt2", "gpt-2", None, False),
    "gpt2-xl": ("gpt2-xl", "gpt-2", None, False),
    "Rachneet/gpt2-alpaca": ("gpt2-alpaca", "gpt-2", None, True),
    "Rachneet/gpt2-xl-alpaca": ("gpt2-xl-alpaca", "gpt-2", None, True),
    "EleutherAI/gpt-j-6b": ("gpt-j-6b", "gpt-j", 6e9, False),
    "togethercomputer/GPT-JT-6B-v1": ("gpt-jt-6b-v1", "gpt-j", 6e9, True),
    "davinci": ("gpt3-175b", "gpt-3", None, False),
    "code": ("code-davinci-002", "gpt-3", None, False),
    "text-davinci-001": ("text-davinci-001", "gpt-3", None, True),
    "text-davinci-003": ("text-davinci-003", "gpt-3", None, True),
    "gpt-4": ("gpt-4", "gpt-4", None, True),
    "t5-small": ("t5-small", "t5", None, False),
    "t5-large": ("t5-large", "t5", None, False),
    "google/flan-t5-small": ("flan-t5-small", "t5", None, True),
    "google/flan-t5-large": ("flan-t5-large", "t5", None, True),
    "models--llama/7B": ("llama-7b", "llama", 7e9, False),
    "models--llama/13B": ("llama-13b", "llama", 13e9, False),
    "models--llama/30B": ("llama-30b", "llama", 30e9, False),
    "chavinlo/alpaca-native": ("alpaca-native", "llama", None, True),
    "chavinlo/alpaca-13b": ("alpaca-13b", "llama", 13e9, True),
    "tiiuae/falcon-7b": ("falcon-7b", "falcon", 7e9, False),
    "tiiuae/falcon-7b-instruct": ("falcon-7b-instruct", "falcon", 7e9, True),
    "tiiuae/falcon-40b": ("falcon-40b", "falcon", 40e9, False),
    "tiiuae/falcon-40b-instruct": ("falcon-40b-instruct", "falcon", 40e9, True),
}
"""Label in the file: shared name, family, parameters where the label states them, instruction-tuned or not."""

METRICS = {
    "exact_match_accuracy": ("acc", "fraction"),
    "exact_match_f1": ("macro_f1", "fraction"),
    "exact_match_loss": ("n_items_lost", "count"),
    "exact_match_gain": ("n_items_gained", "count"),
    "bert_score_accuracy": ("bertscore_acc", "fraction"),
    "bert_score_f1": ("bertscore_f1", "fraction"),
    "bert_score_loss": ("bertscore_n_items_lost", "count"),
    "bert_score_gain": ("bertscore_n_items_gained", "count"),
    "edit_distance": ("edit_distance", "count"),
    "single_bert_score": ("bertscore", "fraction"),
}

SOURCE = Source(
    source_id="on_emergence",
    title="Are Emergent Abilities in Large Language Models just In-Context Learning?",
    authors="Sheng Lu, Irina Bigoulaeva, Rachneet Sachdeva, Harish Tayyar Madabushi, Iryna Gurevych",
    year=2024,
    arxiv_id="2309.01809",
    repository="UKPLab/on-emergence",
    upstream_commit="f791b653c42251a4dbd0bdc7a064c41ea0a3c51b",
    licence="CC BY-SA 4.0",
    redistribution=(
        "CC BY-SA 4.0: shipped as our own long table with citation; the tables of this source stay under CC BY-SA 4.0"
    ),
    headline_metric="acc",
    n_definition="n_params",
    notes=(
        "An eval set is '<task>:<prompt type>:seed<seed>'; prompt types are closed (options listed), closed-adv "
        "(adversarial variant) and open (no options). Models behind an API were sampled at temperature 0 without a "
        "seed. n_shots is 0 in half of the rows, 2, 4 or 5 in the others. The file has no sizes: n_params is filled "
        "only where the model's label states it, and null otherwise. is_instruct separates instruction-tuned models "
        "(Flan-T5, Alpaca, GPT-JT, the text-davinci series, falcon-instruct, GPT-4) from base models; label 'code' is "
        "code-davinci-002, 'davinci' the base GPT-3 of the API (its size is the usual reading, not stated). gpt-4 has "
        "two rows. acc is exact match, macro_f1 the class F1 that goes with it; the bertscore metrics take the option "
        "nearest by BERTScore. n_items_lost and n_items_gained are counts of flipped items (columns '..._loss' and "
        "'..._gain' upstream), no losses. The code -100 means not computed: 14,259 cells are left out for it. Three "
        "rows on codenames stand twice, equal in every cell, and are counted once. Chance level is null: it differs "
        "by task and the file does not state it. A test of the paper's claim compares base models at zero shots with "
        "the baseline of each task."
    ),
    bibtex=(
        "@inproceedings{lu2024emergent, title={Are Emergent Abilities in Large Language Models just In-Context "
        "Learning?}, author={Lu, Sheng and Bigoulaeva, Irina and Sachdeva, Rachneet and Tayyar Madabushi, Harish and "
        "Gurevych, Iryna}, booktitle={Proceedings of the Annual Meeting of the Association for Computational "
        "Linguistics}, year={2024}, note={arXiv:2309.01809}}"
    ),
    set_aside=(SetAside(FILE, N_COPIES, "records that equal another record in every cell"),),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per model; one eval per task, prompt type, number of shots, seed and metric."""
    text = ["run_id", "filename", "model", "prompt_type", "seed", "max_new_tokens"]
    columns: dict[str, type[pl.DataType]] = dict.fromkeys(text, pl.String)
    columns |= {"number_of_data": pl.Float64, "number_of_shots": pl.Int64, "temperature": pl.Float64}
    scores = raw.csv(FILE, columns | dict.fromkeys(METRICS, pl.Float64), rows=N_ROWS)
    values = [name for name in scores.columns if name not in {"raw_file", "raw_row"}]
    distinct = scores.unique(values, keep="first", maintain_order=True)
    seed = pl.when(pl.col("seed") != "None").then(pl.concat_str(pl.lit("seed"), "seed"))
    distinct = distinct.with_columns(pl.col(name).replace(MISSING, None) for name in METRICS).with_columns(
        run_id=pl.concat_str(
            pl.lit("on_emergence/"), pl.col("model").replace_strict({k: v[0] for k, v in MODELS.items()})
        ),
        eval_set=pl.concat_str(
            [pl.col("filename").str.strip_suffix("/task.json"), pl.col("prompt_type"), seed],
            separator=":",
            ignore_nulls=True,
        ),
        n_items="number_of_data",
        n_shots="number_of_shots",
    )
    require(
        f"on_emergence, {FILE!r}",
        rows_that_repeat_another=(scores.height - distinct.height, N_COPIES),
        tasks=(scores["filename"].n_unique(), N_TASKS),
        models=(scores["model"].n_unique(), N_MODELS),
        models_unknown=(sorted(set(scores["model"]) - set(MODELS)), []),
    )
    fields = [{"raw_field": name, "metric": metric, "unit": unit} for name, (metric, unit) in METRICS.items()]
    evals = melt(distinct, ["run_id", "eval_set", "n_shots", "n_items", "raw_file", "raw_row"], fields).with_columns(
        split=pl.lit("all"), value_origin=pl.lit("reported")
    )
    runs = pl.DataFrame(
        [
            {
                "run_id": f"on_emergence/{name}",
                "study": "on_emergence",
                "model_name": label,
                "model_id": name,
                "family": family,
                "architecture": "encoder-decoder" if family == "t5" else "decoder",
                "n_params": n_params,
                "is_instruct": is_instruct,
            }
            for label, (name, family, n_params, is_instruct) in MODELS.items()
        ],
        infer_schema_length=None,
    )
    return {"runs": conform("runs", runs, "on_emergence"), "evals": conform("evals", evals, "on_emergence")}
