"""Wei et al., perplexity by size with and without an MLP memory (arXiv 2508.01832). Coefficients only, no runs."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source, arxiv_entry

TITLE = "MLP Memory: A Retriever-Pretrained Memory for Large Language Models"
AUTHORS = "Rubin Wei, Jiaqi Cao, Jiarui Wang, Jushi Kai, Qipeng Guo, Bowen Zhou, Zhouhan Lin"
BILLION = 1e9
PRINTED: dict[str, tuple[float, float, int]] = {
    "mlp_memory_wikitext_decoder": (9.3e-8, 0.143, 8),
    "mlp_memory_wikitext_with_memory": (1.1e-6, 0.168, 8),
    "mlp_memory_web_decoder": (7.7e-5, 0.216, 9),
    "mlp_memory_web_with_memory": (5.0e-4, 0.268, 9),
}
"""beta and exponent of perplexity = (beta N)^-exponent, and the equation."""

SOURCE = Source(
    source_id="wei_mlp_memory",
    title=TITLE,
    authors=AUTHORS,
    year=2025,
    arxiv_id="2508.01832",
    licence="none seen",
    redistribution="four printed laws: facts, shipped with citation",
    notes=(
        "No runs are held. Law power: test perplexity of GPT-2 of four sizes (124M to 1.5B), trained further, and of "
        "GPT-2 with a memory of its own size, by all parameters N, at fixed compute, on WikiText-103 and on a mixture "
        "of web text. The equations are (beta N)^-gamma with N in a unit that the paper does not print: only billions "
        "give perplexities near 10 (parameters give less than 1); converted to A N^-alpha with N in parameters. Scales "
        "are printed to two digits. In the library the input of power is called n_tokens: give inputs= for another "
        "axis."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2025, "2508.01832"),
    published_fits=tuple(
        PublishedFit(
            law="power",
            variant=name,
            params={"A": (beta / BILLION) ** -gamma, "alpha": gamma},
            where_stated=(
                f"arXiv 2508.01832v3, eq. {equation}: PPL = ({beta:g} N)^-{gamma:g}, converted from N in billions"
            ),
            evidence="converted",
            output_unit="perplexity",
            n_definition="n_params",
        )
        for name, (beta, gamma, equation) in PRINTED.items()
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """No tables: the source consists of its published coefficients."""
    return {}
