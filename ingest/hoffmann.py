"""Hoffmann et al. (Chinchilla), the results of three approaches (arXiv 2203.15556). Coefficients only, no runs."""

from __future__ import annotations

import math

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source

SOURCE = Source(
    source_id="hoffmann",
    title="Training Compute-Optimal Large Language Models",
    authors=(
        "Jordan Hoffmann, Sebastian Borgeaud, Arthur Mensch, Elena Buchatskaya, Trevor Cai, Eliza Rutherford, "
        "Diego de Las Casas, Lisa Anne Hendricks, Johannes Welbl, Aidan Clark, Tom Hennigan, Eric Noland, Katie "
        "Millican, George van den Driessche, Bogdan Damoc, Aurelia Guy, Simon Osindero, Karen Simonyan, Erich Elsen, "
        "Jack W. Rae, Oriol Vinyals, Laurent Sifre"
    ),
    year=2022,
    arxiv_id="2203.15556",
    licence="none stated",
    redistribution="published coefficients: facts, shipped with citation",
    n_definition="n_params",
    notes=(
        "No runs were released; only coefficients are held. The points of Figure 4 are in source epoch_chinchilla. N "
        "is the total parameter count, embeddings included (Appendix F); loss is nats per token on MassiveText. "
        "Variant 'hoffmann' is the set as printed; 'hoffmann_tex' the same fit to all digits, from the logarithms in "
        "the paper's TeX source. Use the second for anything that depends on the exponents: at 5.76e23 FLOP the "
        "printed digits imply 93 tokens per parameter, the full ones 59, and neither agrees with the paper's other two "
        "approaches (about 20). The replication (variant 'epoch' of the same law) traces this to an optimiser that "
        "stopped early, and is the default. Laws chinchilla_a1 (lower envelope of training curves) and chinchilla_a2 "
        "(minima of IsoFLOP parabolas) are the exponents of the optimum alone: parameters grow as C^a, tokens as C^b. "
        "Approach 3 prints 0.46 and 0.54, which follow from its coefficients."
    ),
    bibtex=(
        "@article{hoffmann2022training, title={Training Compute-Optimal Large Language Models}, author={Hoffmann, "
        "Jordan and Borgeaud, Sebastian and Mensch, Arthur and Buchatskaya, Elena and Cai, Trevor and Rutherford, "
        "Eliza and de Las Casas, Diego and Hendricks, Lisa Anne and Welbl, Johannes and Clark, Aidan and Hennigan, Tom "
        "and Noland, Eric and Millican, Katie and van den Driessche, George and Damoc, Bogdan and Guy, Aurelia and "
        "Osindero, Simon and Simonyan, Karen and Elsen, Erich and Rae, Jack W. and Vinyals, Oriol and Sifre, Laurent}, "
        "journal={arXiv preprint arXiv:2203.15556}, year={2022}}"
    ),
    published_fits=(
        PublishedFit(
            law="chinchilla",
            variant="hoffmann",
            params={"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28},
            where_stated="arXiv 2203.15556, Appendix D.2, eq. 10, as epoch-research/analyzing-chinchilla quotes it",
            evidence="second_hand",
            output_unit="nats_per_token",
            n_definition="n_params",
        ),
        PublishedFit(
            law="chinchilla",
            variant="hoffmann_tex",
            params={
                "E": math.exp(0.5267228),
                "A": math.exp(6.0073404),
                "B": math.exp(6.0179186),
                "alpha": 0.33917084,
                "beta": 0.2849083,
            },
            where_stated=(
                "TeX source of arXiv 2203.15556 (logarithms of E, A, B), as epoch-research/analyzing-chinchilla quotes "
                "it"
            ),
            evidence="second_hand",
            output_unit="nats_per_token",
            n_definition="n_params",
        ),
        PublishedFit(
            law="chinchilla_a1",
            variant="hoffmann",
            params={"a": 0.50, "b": 0.50},
            where_stated=(
                "arXiv 2203.15556, Table 2, approach 1 (10th to 90th percentile of bootstraps: 0.488 to 0.502, 0.501 "
                "to 0.512), as an independent reading of the paper quotes it"
            ),
            evidence="second_hand",
            output_unit="unitless",
            n_definition="n_params",
            is_default=True,
        ),
        PublishedFit(
            law="chinchilla_a2",
            variant="hoffmann",
            params={"a": 0.49, "b": 0.51},
            where_stated=(
                "arXiv 2203.15556, Table 2, approach 2 (10th to 90th percentile of bootstraps: 0.462 to 0.534, 0.483 "
                "to 0.529), as the table of published exponents of arXiv 2603.22339 quotes it"
            ),
            evidence="second_hand",
            output_unit="unitless",
            n_definition="n_params",
            is_default=True,
        ),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """No tables: the source consists of its published coefficients."""
    return {}
