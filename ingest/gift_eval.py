"""GIFT-Eval: 121 forecasting models on 97 tasks (arXiv 2410.10393)."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from ingest._long import measured, melt, require, slug
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, arxiv_entry, conform

N_MODELS, N_TASKS = 121, 97
BLANK = "CleanTS-65M"
"""Ends with an empty record."""
HYPHEN = "Samay"
"""Its results are in all-results.csv, those of all others in all_results.csv."""
METRICS = {
    "MASE[0.5]": "forecast_mase",
    "mean_weighted_sum_quantile_loss": "forecast_crps",
    "MSE[mean]": "forecast_mse",
    "MAE[0.5]": "forecast_mae",
}
OTHER = ("MSE[0.5]", "MAPE[0.5]", "sMAPE[0.5]", "MSIS", "RMSE[mean]", "NRMSE[mean]", "ND[0.5]")
"""Kept as forecast_error; the eval set names them."""

LADDERS: dict[str, dict[str, float]] = {
    "toto-2.0": {
        "Toto-2.0-4m": 4e6,
        "Toto-2.0-22m": 22e6,
        "Toto-2.0-313m": 313e6,
        "Toto-2.0-1B": 1e9,
        "Toto-2.0-2.5B": 2.5e9,
    },
    "yinglong": {"YingLong_6m": 6e6, "YingLong_50m": 50e6, "YingLong_110m": 110e6, "YingLong_300m": 300e6},
    "kairos": {"Kairos_10m": 10e6, "Kairos_23m": 23e6, "Kairos_50m": 50e6},
    "moirai": {"moirai_small": 14e6, "Moirai_base": 91e6, "Moirai_large": 311e6},
}
"""Families with several sizes that are known: from the names, Moirai's from its paper."""
UNSIZED = {
    "chronos": ("Chronos_small", "chronos_base", "chronos_large"),
    "chronos-bolt": ("chronos_bolt_small", "chronos_bolt_base"),
    "reverso": ("Reverso-Nano", "Reverso-Small", "Reverso"),
}
TITLE = "GIFT-Eval: A Benchmark For General Time Series Forecasting Model Evaluation"
AUTHORS = "Taha Aksu, Gerald Woo, Juncheng Liu, Xu Liu, Chenghao Liu, Silvio Savarese, Caiming Xiong, Doyen Sahoo"

SOURCE = Source(
    source_id="gift_eval",
    title=TITLE,
    authors=AUTHORS,
    year=2024,
    arxiv_id="2410.10393",
    repository="SalesforceAIResearch/gift-eval",
    upstream_commit="4fd98a9f803a0266f062737281555ddcd220bf81",
    licence="Apache-2.0",
    redistribution="Apache-2.0 licence",
    headline_metric="forecast_mase",
    n_definition="n_params",
    notes=(
        "Results submitted by many parties, one run per model; an eval set is data set, frequency and horizon "
        "('sz_taxi/H/short'). forecast_mase (mean absolute scaled error) compares across tasks, as a geometric mean; "
        "forecast_mse and forecast_mae are in the units of each series; seven further errors are forecast_error with "
        "their name in the eval set. Nothing is divided by the seasonal naive forecast, which is a model of the table. "
        "study is the kind of model: zero-shot, pretrained, fine-tuned, agentic, "
        "deep-learning, statistical. eval_domain is 'in' where the submitters say that test data were in the "
        "training data (testdata_leakage). Families toto-2.0, yinglong, kairos and moirai have sizes, read from names "
        "(Moirai's from its paper); those of chronos, chronos-bolt and reverso are ordered but not counted in the "
        "names. Some submissions print three digits. Four MAPE of crossformer are empty."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2024, "2410.10393"),
    set_aside=(
        SetAside("results/*/config.json", None, "read into runs: kind, organisation, leakage"),
        SetAside(f"results/{BLANK}/all_results.csv", 1, "an empty record at the end of the file"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per submission with results."""
    folders = [name.split("/")[1] for name in raw.files("results/*/all?results.csv")]
    configs = {name: _config(raw, name) for name in folders}
    rows = pl.concat([_results(raw, name) for name in folders])
    sizes = {name: (family, size) for family, ladder in LADDERS.items() for name, size in ladder.items()}
    unsized = {name: (family, None) for family, names in UNSIZED.items() for name in names}
    require(
        "gift_eval",
        models=(len(folders), N_MODELS),
        configurations=(len(raw.files("results/*/config.json")), N_MODELS),
        tasks=(rows["dataset"].n_unique(), N_TASKS),
        ladders_without_a_folder=((set(sizes) | set(unsized)) - set(folders), set()),
    )
    runs = [
        {
            "run_id": _run_id(name),
            "study": config["model_type"],
            "model_name": config["model"],
            "family": (sizes | unsized).get(name, (_slug(name), None))[0],
            "n_params": sizes.get(name, ("", None))[1],
            "organisation": config.get("org"),
        }
        for name, config in configs.items()
    ]
    leaks = {_run_id(name): "in" if config["testdata_leakage"] == "Yes" else "out" for name, config in configs.items()}
    fields = [{"raw_field": f"eval_metrics/{name}", "metric": metric, "suffix": ""} for name, metric in METRICS.items()]
    fields += [
        {"raw_field": f"eval_metrics/{name}", "metric": "forecast_error", "suffix": f":{name}"} for name in OTHER
    ]
    evals = melt(rows, ["run_id", "dataset", "raw_file", "raw_row"], fields).select(
        pl.exclude("dataset", "suffix"),
        eval_set=pl.concat_str("dataset", "suffix"),
        eval_domain=pl.col("run_id").replace_strict(leaks),
    )
    return {
        "runs": conform("runs", pl.DataFrame(runs, infer_schema_length=None), "gift_eval"),
        "evals": measured("gift_eval", evals, unit="unitless"),
    }


def _slug(name: str) -> str:
    return str(pl.select(slug(pl.lit(name))).item())


def _run_id(name: str) -> str:
    return f"gift_eval/{_slug(name)}"


def _config(raw: RawFolder, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(raw.text(f"results/{name}/config.json"))
    return content


def _results(raw: RawFolder, name: str) -> pl.DataFrame:
    columns: dict[str, type[pl.DataType]] = {"dataset": pl.String}
    columns |= {f"eval_metrics/{metric}": pl.Float64 for metric in (*METRICS, *OTHER)}
    file = f"results/{name}/{'all-results' if name == HYPHEN else 'all_results'}.csv"
    rows = raw.csv(file, columns, rows=N_TASKS + (name == BLANK))
    return rows.drop_nulls("dataset").with_columns(run_id=pl.lit(_run_id(name)))
