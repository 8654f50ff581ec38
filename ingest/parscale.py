"""Parallel streams: six sizes x four numbers of streams x two corpora (arXiv 2505.10475)."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source, conform
from scalingdb.errors import DataError

FILE = "_derived/parscale_losses.csv"
N_ROWS, N_SIZES = 48, 6
STREAMS = (1.0, 2.0, 4.0, 8.0)
CORPORA = {"stack_v2_python": "Stack-V2, Python", "pile": "The Pile"}
N_TOKENS = 42e9
"""Training tokens of every run, as the paper states; the file does not say."""

PUBLISHED = {
    "stack_v2_python": {"E": 0.691237, "A": 1.130616e7, "alpha": 0.189371, "k": 0.393463, "r2": 0.9978},
    "pile": {"E": 1.288766, "A": 1.973320e8, "alpha": 0.196333, "k": 0.334456, "r2": 0.9987},
}


def _refit(corpus: str, **params: float) -> PublishedFit:
    return PublishedFit(
        law="parscale",
        variant=corpus,
        params=params,
        where_stated=(
            "refit of the 24 points with the authors' objective (sum of Huber losses, delta 1e-3, of log residuals): L "
            "= E + (A / (N (1 + k ln P)))^alpha, A and N in parameters; arXiv 2505.10475 prints "
            + ", ".join(f"{name} {value:.7g}" for name, value in PUBLISHED[corpus].items() if name != "r2")
            + " (claims)"
        ),
        evidence="refit",
        output_unit="nats_per_token",
        n_definition="n_params_non_embedding",
        is_default=corpus == "stack_v2_python",
    )


SOURCE = Source(
    source_id="parscale",
    title="Parallel Scaling Law for Language Models",
    authors=("Mouxiang Chen, Binyuan Hui, Zeyu Cui, Jiaxi Yang, Dayiheng Liu, Jianling Sun, Junyang Lin, Zhongxin Liu"),
    year=2025,
    arxiv_id="2505.10475",
    repository="QwenLM/ParScale",
    upstream_commit="cd6acb48ba6d3b1f9715785ff0d212751210177d",
    licence="none stated",
    redistribution="48 published losses as our own table of facts with citation; no file of the repository is shipped",
    headline_metric="train_loss",
    headline_eval_set="train",
    n_definition="n_params_non_embedding",
    notes=(
        "Final training losses of 48 runs, a literal of parametric_fit.py: six sizes with 1, 2, 4 and 8 parallel "
        "streams (n_streams) on each of two corpora; fit one family (corpus) at a time. All runs see equal tokens, "
        "42e9 by the paper (not in the file). n_params_non_embedding grows a little with the streams (535,813,376 with "
        "one, 545,340,552 with eight): six sizes, not 24. The law is L = E + (A / (N (k ln P + 1)))^alpha with P the "
        "streams; the printed parameters are claims (a fit by L-BFGS from a grid stops slightly early: polish it "
        "before comparing). Law parscale holds our refit of the 24 points of each corpus, with A in parameters and the "
        "streams as P: it agrees with the printed values to 3 parts in ten thousand, A to 1 in a thousand."
    ),
    bibtex=(
        "@article{chen2025parscale, title={Parallel Scaling Law for Language Models}, author={Chen, Mouxiang and Hui, "
        "Binyuan and Cui, Zeyu and Yang, Jiaxi and Liu, Dayiheng and Sun, Jianling and Lin, Junyang and Liu, "
        "Zhongxin}, journal={arXiv preprint arXiv:2505.10475}, year={2025}}"
    ),
    published_fits=(
        _refit(
            "stack_v2_python",
            E=0.6912070532857925,
            A=11307073.255948646,
            alpha=0.18935825847546334,
            k=0.39345677199234275,
        ),
        _refit("pile", E=1.288587575764957, A=197516583.78190422, alpha=0.1962814511877767, k=0.334442408146552),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run and one loss per row."""
    points = raw.csv(
        FILE,
        {
            "corpus": pl.String,
            "parallel_streams": pl.Float64,
            "non_embedding_params": pl.Float64,
            "loss": pl.Float64,
        },
        rows=N_ROWS,
    ).with_columns(
        size=pl.col("non_embedding_params").rank("ordinal").over("corpus", "parallel_streams").cast(pl.Int64)
    )
    cells = points.group_by("corpus", "parallel_streams").len()
    if (
        set(cells["corpus"]) != set(CORPORA)
        or set(cells["parallel_streams"]) != set(STREAMS)
        or cells["len"].unique().to_list() != [N_SIZES]
    ):
        raise DataError(f"parscale, {FILE!r}: not a grid of two corpora, streams {STREAMS} and {N_SIZES} sizes")
    # the size with one stream names the size with any number of them
    named = points.filter(pl.col("parallel_streams") == 1).select(
        "corpus", "size", millions=(pl.col("non_embedding_params") / 1e6).round().cast(pl.Int64)
    )
    points = points.join(named, on=["corpus", "size"], how="left", maintain_order="left").with_columns(
        run_id=pl.format("parscale/{}-N{}M-P{}", "corpus", "millions", pl.col("parallel_streams").cast(pl.Int64))
    )
    runs = points.select(
        "run_id",
        study=pl.lit("parscale"),
        family="corpus",
        architecture=pl.lit("decoder"),
        n_params_non_embedding="non_embedding_params",
        n_tokens=pl.lit(N_TOKENS),
        n_streams="parallel_streams",
        corpus=pl.col("corpus").replace_strict(CORPORA),
        tokenizer_id=pl.lit("qwen2.5"),
    )
    evals = points.select(
        "run_id",
        "raw_file",
        "raw_row",
        n_tokens=pl.lit(N_TOKENS),
        metric=pl.lit("train_loss"),
        eval_set=pl.lit("train"),
        split=pl.lit("all"),
        value="loss",
        unit=pl.lit("nats_per_token"),
        value_origin=pl.lit("reported"),
        raw_field=pl.lit("loss"),
    )
    return {
        "runs": conform("runs", runs, "parscale"),
        "evals": conform("evals", evals, "parscale"),
        "claims": conform("claims", _claims(), "parscale"),
    }


def _claims() -> pl.DataFrame:
    """The published parameters of the law on each corpus."""
    return pl.DataFrame(
        [
            {
                "claim_id": f"2505.10475/{corpus}/{name}",
                "claim": f"L = E + (A / (N (k ln P + 1)))^alpha on {CORPORA[corpus]}: {name} is {value}",
                "quantity": name,
                "value": value,
                "unit": "nats_per_token" if name == "E" else "unitless",
                "varies": "model size and number of parallel streams",
                "where_stated": "arXiv 2505.10475, table of the fitted parameters (as commonly quoted)",
                "test_source": "parscale",
            }
            for corpus, numbers in PUBLISHED.items()
            for name, value in numbers.items()
        ]
    )
