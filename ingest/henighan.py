"""Henighan et al., loss against size and compute in other domains than text (arXiv 2010.14701). No runs."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source

# domain, what Table 1 calls it, (L_inf, N_0, alpha) of L(N), (L_inf, C_0, alpha) of L(C), (C_0, beta) of N_opt(C)
Numbers = tuple[float, ...]
DOMAINS: tuple[tuple[str, str, Numbers, Numbers | None, Numbers | None], ...] = (
    ("language", "Language", (0.0, 1.47e14, 0.070), (0.0, 3.47e8, 0.048), (3.3e-13, 0.73)),
    ("image_8x8", "Image 8x8", (3.12, 8.0e1, 0.24), (3.13, 1.8e-8, 0.19), (5.3e-14, 0.64)),
    ("image_16x16", "Image 16x16", (2.64, 2.8e2, 0.22), (2.64, 1.6e-8, 0.16), (4.8e-12, 0.75)),
    ("image_32x32", "Image 32x32", (2.20, 6.3e1, 0.13), (2.21, 3.6e-9, 0.10), (1.6e-13, 0.65)),
    ("image_vq_16x16", "Image VQ 16x16", (3.99, 2.7e4, 0.13), (4.09, 6.1e-7, 0.11), (6.2e-14, 0.64)),
    ("image_vq_32x32", "Image VQ 32x32", (3.07, 1.9e4, 0.14), (3.17, 2.6e-6, 0.12), (9.4e-13, 0.70)),
    ("text_to_image_text", "Text-to-Im (Text)", (0.0, 5.6e8, 0.037), None, None),
    ("text_to_image_image", "Text-to-Im (Image)", (2.0, 5.1e3, 0.16), (1.93, 1.5e-6, 0.15), None),
    ("image_to_text_text", "Im-to-Text (Text)", (0.0, 7.0e8, 0.039), None, None),
    ("image_to_text_image", "Im-to-Text (Image)", (2.0, 5.5e3, 0.15), (1.97, 1.5e-6, 0.16), None),
    ("video_vq", "Video VQ 16x16x16", (1.01, 3.7e4, 0.24), (0.95, 2.2e-5, 0.14), (1.13e-12, 0.71)),
    ("math_extrapolate", "Math (Extrapolate)", (0.28, 1.1e4, 0.16), (0.14, 1.4e-5, 0.17), (2.3e-12, 0.69)),
)


def _fits() -> tuple[PublishedFit, ...]:
    fits = []
    for domain, row, of_size, of_compute, optimum in DOMAINS:
        for suffix, x, numbers in (
            ("n", "x the non-embedding parameters", of_size),
            ("c", "x the compute in petaflop-days", of_compute),
        ):
            if numbers is not None:
                fits.append(
                    PublishedFit(
                        law="henighan_ln_lc",
                        variant=f"{domain}_{suffix}",
                        params=dict(zip(("L_inf", "x_0", "alpha"), numbers, strict=True)),
                        where_stated=(
                            f"arXiv 2010.14701, Table 1 in a machine-converted copy, row {row}: "
                            f"L = L_inf + (x / x_0)^-alpha, {x}"
                        ),
                        evidence="converted",
                        output_unit="nats_per_token",
                        n_definition="n_params_non_embedding",
                        is_default=(domain, suffix) == ("language", "n"),
                    )
                )
        if optimum is not None:
            fits.append(
                PublishedFit(
                    law="henighan_n_opt",
                    variant=domain,
                    params=dict(zip(("C_0", "beta"), optimum, strict=True)),
                    where_stated=(
                        f"arXiv 2010.14701, Table 1 in a machine-converted copy, row {row}: N_opt = (C / C_0)^beta, C "
                        "in petaflop-days"
                    ),
                    evidence="converted",
                    output_unit="parameters",
                    n_definition="n_params_non_embedding",
                    is_default=domain == "language",
                )
            )
    return tuple(fits)


SOURCE = Source(
    source_id="henighan",
    title="Scaling Laws for Autoregressive Generative Modeling",
    authors=(
        "Tom Henighan, Jared Kaplan, Mor Katz, Mark Chen, Christopher Hesse, Jacob Jackson, Heewoo Jun, Tom B. Brown, "
        "Prafulla Dhariwal, Scott Gray, Chris Hallacy, Benjamin Mann, Alec Radford, Aditya Ramesh, Nick Ryder, Daniel "
        "M. Ziegler, John Schulman, Dario Amodei, Sam McCandlish"
    ),
    year=2020,
    arxiv_id="2010.14701",
    licence="none stated",
    redistribution="published coefficients: facts, shipped with citation",
    n_definition="n_params_non_embedding",
    notes=(
        "No runs were released; only coefficients are held. Law henighan_ln_lc is L = L_inf + (x / x_0)^-alpha in nats "
        "per token; the variant's end says what x is: _n non-embedding parameters at convergence, _c compute in "
        "petaflop-days (8.64e19 FLOP; 6 x non-embedding parameters x tokens). Law henighan_n_opt is the optimal model "
        "size, N_opt = (C / C_0)^beta. A petaflop-day is also the unit of Kaplan's laws of compute. The fits against "
        "compute are forced below all points: a frontier, not a mean. The rows of language repeat earlier work: L(C) "
        "from GPT-3, N_opt from Kaplan et al. Tokens differ between domains (pixels, codes of an image, bytes of "
        "mathematics), so losses cannot be compared across them. The text halves of the image-text models have no law "
        "of compute, because compute is counted for both halves. N_opt of the image-text models is left out: the copy "
        "of Table 1 that was read shows the values of another row there, and does not say which rows share them. Read "
        "in a converted copy of the paper: two digits of a coefficient are all that is printed."
    ),
    bibtex=(
        "@article{henighan2020scaling, title={Scaling Laws for Autoregressive Generative Modeling}, author={Henighan, "
        "Tom and Kaplan, Jared and Katz, Mor and Chen, Mark and Hesse, Christopher and Jackson, Jacob and Jun, Heewoo "
        "and Brown, Tom B. and Dhariwal, Prafulla and Gray, Scott and Hallacy, Chris and Mann, Benjamin and Radford, "
        "Alec and Ramesh, Aditya and Ryder, Nick and Ziegler, Daniel M. and Schulman, John and Amodei, Dario and "
        "McCandlish, Sam}, journal={arXiv preprint arXiv:2010.14701}, year={2020}}"
    ),
    published_fits=_fits(),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """No tables: the source consists of its published coefficients."""
    return {}
