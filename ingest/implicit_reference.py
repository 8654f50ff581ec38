"""Jailbreaks by implicit reference: how often they succeed, by model and judge (arXiv 2410.03857)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, require, slug
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, arxiv_entry, conform

RUNS, OUTCOMES, README = "runs.csv", "attack_outcomes.csv", "asr_readme.csv"
N_RUNS, N_OUTCOMES, N_README, N_FRAGMENTS = 51, 4567, 9, 6
WHOLE = 100
TITLE = "You Know What I'm Saying: Jailbreak Attack via Implicit Reference"
AUTHORS = "Tianyu Wu, Lingrui Mei, Ruibin Yuan and others"

SOURCE = Source(
    source_id="implicit_reference",
    title=TITLE,
    authors=AUTHORS,
    year=2024,
    arxiv_id="2410.03857",
    repository="Lucas-TY/llm_Implicit_reference",
    upstream_commit="b2eff2540a0552ac984744331a0d1c08f293af94",
    licence="none stated",
    redistribution="counts and flags as our own table of facts with citation; no prompt or answer is held",
    headline_metric="attack_success",
    n_definition="n_params",
    not_upstream=(RUNS, OUTCOMES, README),
    notes=(
        "51 experiments on up to 100 harmful requests each: target model, number of objectives (k2 to k6), judge, and "
        "where used a context model (the eval set is 'requests:<objectives>:<judge>', with the context model if there "
        "is one). attack_success is the share of requests for which the judge saw a success within 20 restarts. "
        "The judge matters: on Qwen2-0.5B one sees 84 % and the other 35 %. Family gives the models of one maker; "
        "sizes are those in the names, missing for OpenAI and Anthropic. Experiments with fewer than 100 requests are "
        "fragments and flagged. Table items has one row per request: value 1 for a success, n_samples the attempts "
        "until then (censored at 20). Rates that the README publishes are claims. No text of prompts or answers was "
        "taken over."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2024, "2410.03857"),
    set_aside=(SetAside(README, N_README, "read into claims: published success rates"),),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Experiments, requests and published rates."""
    columns = {
        "run": pl.String,
        "target_model": pl.String,
        "attack_method": pl.String,
        "judge": pl.String,
        "context_model": pl.String,
    }
    counts = dict.fromkeys(("n_stored", "n_jailbroken_llama", "n_jailbroken_gpt"), pl.Float64)
    experiments = raw.csv(RUNS, {**columns, **counts}, rows=N_RUNS)
    flags = dict.fromkeys(("i_request", "i_restart", "jailbroken_llama", "jailbroken_gpt"), pl.Float64)
    outcomes = raw.csv(OUTCOMES, {**columns, **flags}, rows=N_OUTCOMES, comments=1)
    experiments = experiments.with_columns(
        seen=pl.coalesce("n_jailbroken_gpt", "n_jailbroken_llama"),
        by=pl.when(pl.col("n_jailbroken_gpt").is_null()).then(pl.lit("llama")).otherwise(pl.lit("gpt")),
        fragment=pl.col("n_stored") < WHOLE,
    )
    requests = outcomes.with_columns(seen=pl.coalesce("jailbroken_gpt", "jailbroken_llama"))
    sums = requests.group_by("run").agg(total=pl.col("seen").sum(), n=pl.len())
    both = experiments.join(sums, on="run", how="left")
    require(
        "implicit_reference",
        fragments=(int(experiments["fragment"].sum()), N_FRAGMENTS),
        sums_that_differ=(
            both.filter((pl.col("seen") != pl.col("total")) | (pl.col("n_stored") != pl.col("n"))).height,
            0,
        ),
    )
    context = pl.when(pl.col("context_model").is_null()).then(pl.lit("")).otherwise(pl.format(":{}", "context_model"))
    eval_set = pl.format("requests:{}:{}{}", "attack_method", "by", context)
    evals = experiments.select(
        "raw_file",
        "raw_row",
        run_id=_run_id(),
        eval_set=eval_set,
        value=pl.col("seen") / pl.col("n_stored"),
        n_items="n_stored",
        raw_field=pl.format("n_jailbroken_{}", "by"),
        flag=pl.when("fragment").then(pl.lit("fragment")),
        flag_reason=pl.when("fragment").then(pl.lit("fewer than the 100 requests of a complete experiment")),
    )
    items = requests.join(experiments.select("run", "by"), on="run").select(
        "raw_file",
        "raw_row",
        run_id=_run_id(),
        task=pl.format("requests:{}:{}{}", "attack_method", "by", context),
        item_id=pl.col("i_request").cast(pl.Int64).cast(pl.String),
        metric=pl.lit("attack_success"),
        value="seen",
        unit=pl.lit("fraction"),
        n_samples=pl.col("i_restart") + 1,
        raw_field=pl.format("jailbroken_{}", "by"),
    )
    return {
        "runs": conform("runs", _runs(experiments), "implicit_reference"),
        "evals": measured("implicit_reference", evals, metric="attack_success", unit="fraction"),
        "items": conform("items", items, "implicit_reference"),
        "claims": conform("claims", _claims(raw), "implicit_reference"),
    }


def _run_id() -> pl.Expr:
    return pl.format("implicit_reference/{}/{}", "target_model", "run")


def _runs(experiments: pl.DataFrame) -> pl.DataFrame:
    name = pl.col("target_model")
    return experiments.select(
        run_id=_run_id(),
        study=pl.lit("implicit_reference"),
        model_name="target_model",
        model_id=name.replace(
            {"llama-3-8b-chat-hf": "llama-3-8b-instruct", "llama-3-70b-chat-hf": "llama-3-70b-instruct"}
        ),
        family=name.str.extract(r"^(qwen2|llama-3|gpt-4o|claude)"),
        architecture=pl.lit("decoder"),
        n_params=name.str.extract(r"-([\d.]+)b-").cast(pl.Float64) * 1e9,
        is_instruct=pl.lit(value=True),
    )


def _claims(raw: RawFolder) -> pl.DataFrame:
    rates = raw.csv(
        README,
        {"model": pl.String, "objectives": pl.Int64, "attack_success_rate_percent": pl.Float64},
        rows=N_README,
        comments=1,
    )
    return rates.select(
        claim_id=pl.format("2410.03857/asr/{}/k{}", slug(pl.col("model")), "objectives"),
        claim=pl.format("attack success on {} with {} objectives", "model", "objectives"),
        quantity=pl.lit("attack_success_rate"),
        value="attack_success_rate_percent",
        unit=pl.lit("percent"),
        varies=pl.lit("model"),
        where_stated=pl.lit("README.md, table of success rates"),
        test_source=pl.lit("implicit_reference"),
    )
