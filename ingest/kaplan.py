"""Kaplan et al., loss against size, data, compute and steps (arXiv 2001.08361). Coefficients only, no runs."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import Evidence, PublishedFit, Source


def _fit(
    law: str, place: str, params: dict[str, float], output_unit: str = "nats_per_token", evidence: Evidence = "read"
) -> PublishedFit:
    return PublishedFit(
        law=law,
        variant="kaplan",
        params=params,
        where_stated=f"arXiv 2001.08361, {place}",
        evidence=evidence,
        output_unit=output_unit,
        n_definition="n_params_non_embedding" if "N_c" in params or "C_c" in params else None,
        is_default=True,
    )


SOURCE = Source(
    source_id="kaplan",
    title="Scaling Laws for Neural Language Models",
    authors=(
        "Jared Kaplan, Sam McCandlish, Tom Henighan, Tom B. Brown, Benjamin Chess, Rewon Child, Scott Gray, "
        "Alec Radford, Jeffrey Wu, Dario Amodei"
    ),
    year=2020,
    arxiv_id="2001.08361",
    licence="none stated",
    redistribution="published coefficients: facts, shipped with citation",
    n_definition="n_params_non_embedding",
    notes=(
        "No runs were released; only coefficients are held. N excludes embeddings, D is tokens, loss is nats per token "
        "of WebText2 with a vocabulary of 50,257 and sequences of 1,024. The joint fit (Table 2) differs from the "
        "one-variable fits of the same paper (N_c 8.8e13, alpha_N 0.076; D_c 5.4e13, alpha_D 0.095): use one set or "
        "the other, never a mixture. The authors say that N_c and D_c depend on the tokenizer and have no meaning of "
        "their own. The law has no floor. It was fitted with early stopping and 10 % dropout on 7.7e2 to 1.5e9 "
        "parameters and 2.2e7 to 2.3e10 tokens; the authors report a poor fit at the smallest data size. Forms of the "
        "other laws: kaplan_ln L = (N_c / N)^alpha_N at convergence; kaplan_ld L = (D_c / D)^alpha_D, large models, "
        "early stopping; kaplan_lc L = (C_c / C_min)^alpha_C, C_min in petaflop-days (8.64e19 FLOP) at the smallest "
        "compute; kaplan_ls L = (N_c / N)^alpha_N + (S_c / S_min)^alpha_S, S_min the steps at batches far above "
        "critical; kaplan_bcrit, the critical batch in tokens, B_star L^(-1 / alpha_B). Optimal size grows as "
        "C_min^0.73, batch as C_min^0.24, steps as C_min^0.03."
    ),
    bibtex=(
        "@article{kaplan2020scaling, title={Scaling Laws for Neural Language Models}, author={Kaplan, Jared and "
        "McCandlish, Sam and Henighan, Tom and Brown, Tom B. and Chess, Benjamin and Child, Rewon and Gray, Scott and "
        "Radford, Alec and Wu, Jeffrey and Amodei, Dario}, journal={arXiv preprint arXiv:2001.08361}, year={2020}}"
    ),
    published_fits=(
        PublishedFit(
            law="kaplan_lnd",
            variant="kaplan",
            params={"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103},
            where_stated=(
                "arXiv 2001.08361, Table 2 (form: eq. 1.5), as several independent readings quote it; the set implies "
                "the paper's eq. 4.4, D > 5e3 N^0.74 for 2 % overfitting"
            ),
            evidence="second_hand",
            output_unit="nats_per_token",
            n_definition="n_params_non_embedding",
            is_default=True,
        ),
        _fit("kaplan_ln", "eq. 1.1", {"N_c": 8.8e13, "alpha_N": 0.076}),
        _fit("kaplan_ld", "eq. 1.2", {"D_c": 5.4e13, "alpha_D": 0.095}),
        _fit("kaplan_lc", "eq. 1.3, compute in petaflop-days", {"C_c": 3.1e8, "alpha_C": 0.050}),
        _fit(
            "kaplan_ls",
            "eq. 1.6 (S_c, alpha_S) and the table of the joint fit as independent readings quote it (N_c, alpha_N)",
            {"N_c": 6.5e13, "alpha_N": 0.077, "S_c": 2.1e3, "alpha_S": 0.76},
            evidence="second_hand",
        ),
        _fit("kaplan_bcrit", "eq. 1.4", {"B_star": 2e8, "alpha_B": 0.21}, "tokens"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """No tables: the source consists of its published coefficients."""
    return {}
