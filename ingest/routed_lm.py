"""Routed language models: 223 runs of three routers and dense twins, six losses along training (arXiv 2202.01169)."""

from __future__ import annotations

import gzip
import io

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source, conform
from scalingdb.errors import DataError

FILE = "data/curves.csv.gz"
N_ROWS, N_RUNS, N_MISSING = 5799, 223, 63
ROUTERS = {"Dense": 13, "Hash": 69, "RL-R": 54, "S-Base": 87}
STEP_TOKENS = 524_288
"""256 sequences of 2,048 tokens, as the paper states; the file counts steps only."""
CONTEXT = 2048
N_WIDENED = 5
"""Dense runs with wider layers."""
N_COPIES = 4
"""Pairs of runs with equal settings (the file does not say how they differ): each pair has two runs."""

LOSSES = {
    "loss_validation": "validation",
    "loss_c4": "c4",
    "loss_curation_corpus": "curation_corpus",
    "loss_lambada": "lambada",
    "loss_pile": "pile_europarl",
    "loss_wikitext103": "wikitext_103",
}
SETTINGS = {
    "num_experts": "n_experts",
    "k": "n_experts_active",
    "d_model": "d_model",
    "num_blocks": "n_layers",
    "num_heads": "n_heads",
    "kqv_size": "d_head",
    "flop_increase": "flop_increase",
    "routing_frequency": "routing_frequency",
    "total_parameter_count": "n_params",
    "dense_parameter_count": "n_params_dense",
    "flops_per_step": "flops_per_step",
    "seed": "seed",
}

PUBLISHED = {
    "S-Base": {"a": -0.082, "b": -0.108, "c": 0.009, "d": 1.104},
    "RL-R": {"a": -0.083, "b": -0.126, "c": 0.012, "d": 1.111},
    "Hash": {"a": -0.087, "b": -0.136, "c": 0.012, "d": 1.157},
}
SATURATION = {
    "S-Base": {"E_s": 1.847, "E_m": 314.478},
    "RL-R": {"E_s": 1.880, "E_m": 469.982},
    "Hash": {"E_s": 4.175, "E_m": 477.741},
}
"""Table 3 of the paper."""
REFITS = {
    "S-Base": (-0.08378271, -0.12336863, 0.01042392, 1.12155985, 2.3942170515465326, 217.65489811931627),
    "RL-R": (-0.08346915, -0.1279258, 0.01168834, 1.11425941, 1.9870236522697269, 424.49607365300227),
    "Hash": (-0.08868038, -0.14640525, 0.01341841, 1.17302468, 4.988070451072559, 369.0997703032683),
}
"""Lowest mean squared error of log10 L on the last validation losses (k = 1, every second layer) and dense twins."""


def _fits() -> tuple[PublishedFit, ...]:
    names = ("a", "b", "c", "d", "E_s", "E_m")
    form = "log10 L = a log10 N + b log10 Eh + c log10 N log10 Eh + d"
    return tuple(
        PublishedFit(
            law="routing_moe",
            variant=router.lower().replace("-", "_") + suffix,
            params=params,
            where_stated=place,
            evidence="refit" if suffix else "second_hand",
            output_unit="nats_per_token",
            n_definition="n_params_active",
            is_default=router == "S-Base" and suffix == "_refit",
        )
        for router in PUBLISHED
        for suffix, params, place in (
            (
                "",
                PUBLISHED[router] | SATURATION[router],
                f"arXiv 2202.01169, Table 3 (form: eq. 1), as an independent reading of the paper quotes it; {form}",
            ),
            (
                "_refit",
                dict(zip(names, REFITS[router], strict=True)),
                f"refit of the released curves, least squares of log10 L; {form}",
            ),
        )
    )


SOURCE = Source(
    source_id="routed_lm",
    title="Unified Scaling Laws for Routed Language Models",
    authors=(
        "Aidan Clark, Diego de las Casas, Aurelia Guy, Arthur Mensch, Michela Paganini, Jordan Hoffmann, Bogdan Damoc, "
        "Blake Hechtman, Trevor Cai, Sebastian Borgeaud, George van den Driessche, Eliza Rutherford, Tom Hennigan, "
        "Matthew Johnson, Katie Millican, Albin Cassirer, Chris Jones, Elena Buchatskaya, David Budden, Laurent Sifre, "
        "Simon Osindero, Oriol Vinyals, Jack Rae, Erich Elsen, Koray Kavukcuoglu, Karen Simonyan"
    ),
    year=2022,
    arxiv_id="2202.01169",
    repository="google-deepmind/scaling_laws_for_routing",
    upstream_commit="42da0c392b127df2c01fa7b705f72396050d05e5",
    licence="Apache-2.0 for software, CC-BY-4.0 for other material (the data)",
    redistribution="CC-BY-4.0 for the data; shipped as our own table with citation",
    headline_metric="loss",
    headline_eval_set="validation",
    n_definition="n_params_active",
    notes=(
        "223 runs (13 dense, 69 Hash, 54 RL-R, 87 S-Base; 1 to 512 experts) with 24 to 27 evaluations each, every "
        "10,000 steps; the last is at step 249,000 in 221 runs, at 248,000 and 250,000 in the other two. A family is a "
        "router. n_params_dense is the size of the dense model that the run extends (dense_parameter_count, six "
        "values), the paper's N, and n_params_active the same for routed runs whatever k is, although with k of 2 or 4 "
        "more parameters are really used; n_params is the total. Five of the dense runs have wider layers "
        "(flop_increase 2 or 4), which dense_parameter_count omits and the total holds: half the added FLOP of a token "
        "are the added parameters exactly, so their n_params_active is the total (there their losses lie 0.2 to 1.2 % "
        "above the line through the other eight; at dense_parameter_count they would lie 1.7 to 4.3 % below it). The "
        "paper fits runs with k = 1, routing_frequency 0.5 and flop_increase 1 (n_experts_active is k). Tokens are not "
        "in the file: step x 524,288 (batch 256 of 2,048 tokens as the paper states). flops_per_token is the forward "
        "cost of a step over its tokens: training costs about three times that. Step 0 holds the untrained loss, a "
        "little above the logarithm of the vocabulary. 63 losses are not numbers upstream and are left out (eight of "
        "them validation losses; a fit takes the last step that has one). Seven sizes are documented but six occur: no "
        "870M. Four pairs of S-Base runs have equal settings and other losses; both are kept. The validation text is "
        "the authors' own (MassiveText). Recomputed on the last validation losses with saturated expert counts, log10 "
        "L = a log10 N + b log10 E + c log10 N log10 E + d reaches a residual of 0.003; the published coefficients are "
        "claims, and with those of the saturation law routing_moe: 1 / Eh = 1 / (x - 1 + 1 / (1 / E_s - 1 / E_m)) + 1 "
        "/ E_m, x experts, N the dense model's parameters. Variants with '_refit' are ours: the printed digits are so "
        "few that they cost up to six times the squared error and do not give the paper's cutoffs 10^(-b / c) (937e9, "
        "85e9 and 83e9 parameters; the refits: 684e9, 88e9 and 81e9). E_s and E_m are identified to a factor of about "
        "1.5 only."
    ),
    bibtex=(
        "@inproceedings{clark2022unified, title={Unified Scaling Laws for Routed Language Models}, author={Clark, "
        "Aidan and de las Casas, Diego and Guy, Aurelia and Mensch, Arthur and Paganini, Michela and Hoffmann, Jordan "
        "and Damoc, Bogdan and Hechtman, Blake and Cai, Trevor and Borgeaud, Sebastian and van den Driessche, George "
        "and Rutherford, Eliza and Hennigan, Tom and Johnson, Matthew and Millican, Katie and Cassirer, Albin and "
        "Jones, Chris and Buchatskaya, Elena and Budden, David and Sifre, Laurent and Osindero, Simon and Vinyals, "
        "Oriol and Rae, Jack and Elsen, Erich and Kavukcuoglu, Koray and Simonyan, Karen}, booktitle={International "
        "Conference on Machine Learning}, pages={4057--4086}, year={2022}}"
    ),
    published_fits=_fits(),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per hyper-parameter setting, six losses per evaluation."""
    rows = _read(raw)
    last = rows.sort("step").unique("hyper_id", keep="last", maintain_order=True).sort("hyper_id")
    runs = last.select(
        "run_id",
        *(name for name in SETTINGS.values() if name not in {"flops_per_step", "n_experts_active"}),
        # every parameter of a dense model works on every token, those of widened layers too
        n_params_active=pl.when(pl.col("router_type") == "Dense").then("n_params").otherwise("n_params_dense"),
        study=pl.lit("routed_lm"),
        family=pl.col("router_type").str.to_lowercase(),
        model_name=pl.format("{} {} E{}", "router_type", "model_size_label", pl.col("n_experts").cast(pl.Int64)),
        architecture=pl.when(pl.col("router_type") == "Dense")
        .then(pl.lit("decoder"))
        .otherwise(pl.lit("mixture-of-experts")),
        router=pl.when(pl.col("router_type") != "Dense").then(pl.col("router_type").str.to_lowercase()),
        n_experts_active="n_experts_active",
        n_tokens="n_tokens",
        n_steps="step",
        batch_size_tokens=pl.lit(float(STEP_TOKENS)),
        context_length=pl.lit(float(CONTEXT)),
        flops_per_token=pl.col("flops_per_step") / STEP_TOKENS,
        corpus=pl.lit("MassiveText"),
        tokenizer_id=pl.lit("massivetext-32k"),
    )
    evals = rows.unpivot(
        list(LOSSES), index=["run_id", "step", "n_tokens", "raw_row"], variable_name="raw_field", value_name="value"
    )
    missing = evals["value"].null_count()
    if missing != N_MISSING:
        raise DataError(f"routed_lm, {FILE!r}: {missing} losses are missing where {N_MISSING} are expected")
    evals = evals.drop_nulls("value").with_columns(
        metric=pl.lit("loss"),
        eval_set=pl.col("raw_field").replace_strict(LOSSES),
        split=pl.lit("all"),
        unit=pl.lit("nats_per_token"),
        value_origin=pl.lit("reported"),
        raw_file=pl.lit(FILE),
    )
    return {
        "runs": conform("runs", runs, "routed_lm"),
        "evals": conform("evals", evals, "routed_lm"),
        "claims": conform("claims", _claims(), "routed_lm"),
    }


def _read(raw: RawFolder) -> pl.DataFrame:
    """The compressed table, its settings under the names of the schema.

    Raises
    ------
    DataError
        If counts, routers or keys differ, or a setting changes within a run.
    """
    text = gzip.decompress(raw.path(FILE).read_bytes())
    floats = dict.fromkeys((*LOSSES, *SETTINGS, "step"), pl.Float64)
    rows = pl.read_csv(io.BytesIO(text), schema_overrides=floats, null_values=[""]).with_row_index("raw_row", offset=1)
    routers = dict(rows.group_by("router_type").agg(pl.col("hyper_id").n_unique()).rows())
    varying = rows.group_by("hyper_id").agg(pl.col(name).n_unique() for name in (*SETTINGS, "router_type"))
    changed = varying.filter(pl.any_horizontal(pl.exclude("hyper_id") > 1)).height
    copies = rows.select("hyper_id", "step").is_duplicated().sum()
    if rows.height != N_ROWS or routers != ROUTERS or changed or copies:
        raise DataError(
            f"routed_lm, {FILE!r}: {rows.height} records, runs of each router {routers}, {changed} run(s) whose "
            f"settings change, {copies} records that repeat a step"
        )
    raw.count(FILE, rows.height)
    rows = rows.rename(SETTINGS)
    _check_widened(rows)
    twins = rows.unique("hyper_id").filter(pl.struct("router_type", *SETTINGS.values()).is_duplicated())
    if twins.height != 2 * N_COPIES:
        raise DataError(f"routed_lm, {FILE!r}: {twins.height} runs share all settings with another")
    return rows.with_columns(
        pl.col("raw_row").cast(pl.Int64),
        run_id=pl.format(
            "routed_lm/{}-{}-E{}-{}",
            pl.col("router_type").str.to_lowercase(),
            "model_size_label",
            pl.col("n_experts").cast(pl.Int64),
            pl.col("hyper_id").cast(pl.String).str.zfill(3),
        ),
        n_tokens=pl.col("step") * STEP_TOKENS,
    )


def _check_widened(rows: pl.DataFrame) -> None:
    """Check that what a dense run holds beyond its dense twin is used on every token: two FLOP per parameter.

    Raises
    ------
    DataError
        If a dense run has parameters that its FLOP do not account for.
    """
    dense = rows.filter(pl.col("router_type") == "Dense").unique("hyper_id")
    twin = dense.filter(pl.col("flop_increase") == 1).unique("n_params_dense")
    widened = dense.filter(pl.col("flop_increase") > 1).join(
        twin.select("n_params_dense", flops_of_twin="flops_per_step"), on="n_params_dense"
    )
    added = pl.col("n_params") - pl.col("n_params_dense")
    worked = (pl.col("flops_per_step") - pl.col("flops_of_twin")) / (2 * STEP_TOKENS)
    odd = widened.filter((added / worked - 1).abs() > 1e-9)
    if widened.height != N_WIDENED or odd.height or not twin["n_params"].equals(twin["n_params_dense"]):
        raise DataError(
            f"routed_lm, {FILE!r}: {widened.height} widened dense runs, {odd.height} of them with parameters that "
            "their FLOP do not account for"
        )


def _claims() -> pl.DataFrame:
    """The published coefficients of the law with saturation."""
    return pl.DataFrame(
        [
            {
                "claim_id": f"2202.01169/{router.lower()}/{name}",
                "claim": f"{router}: coefficient {name} of log10 L in log10 N and log10 saturated experts is {value}",
                "quantity": name,
                "value": value,
                "unit": "unitless",
                "varies": "model size and number of experts",
                "where_stated": "arXiv 2202.01169, table of the fitted coefficients (as commonly quoted)",
                "test_source": "routed_lm",
            }
            for router, coefficients in PUBLISHED.items()
            for name, value in coefficients.items()
        ]
    )
