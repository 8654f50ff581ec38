"""Names shared by sources that hold the same public model: lower-case, without owner and format suffix."""

from __future__ import annotations

import polars as pl

__all__ = ["model_id"]

SPELLINGS = {
    "amber": "amber-7b",
    "bloom": "bloom-176b",
    "bloom-1b1": "bloom-1.1b",
    "bloom-1b7": "bloom-1.7b",
    "bloom-7b1": "bloom-7.1b",
    "meta-llama-3-8b": "llama-3-8b",
    "meta-llama-3-70b": "llama-3-70b",
    "meta-llama-3-8b-instruct": "llama-3-8b-instruct",
    "meta-llama-3-70b-instruct": "llama-3-70b-instruct",
    "meta-llama-3.1-8b": "llama-3.1-8b",
    "meta-llama-3.1-70b": "llama-3.1-70b",
    "meta-llama-3.1-405b-fp8": "llama-3.1-405b",
}
"""Names of the Hugging Face hub that differ from the common one."""


def model_id(name: pl.Expr) -> pl.Expr:
    """Shared name of a model from its name on the Hugging Face hub."""
    bare = name.str.split("/").list.last().str.to_lowercase().str.strip_suffix("-hf")
    return bare.replace(SPELLINGS)
