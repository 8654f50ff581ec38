"""Practices of fitting, tried on families of models: which rows to fit, which models, what to borrow.

Every function takes your own frame of loss curves (columns are arguments) and answers one question
of the practitioner by the same experiment: fit the smaller models of each family, judge on the
largest. :func:`corpus` gives the curves of the warehouse. Beside that: the noise of seeds, a search that
stops too early, how flat the optimum of learning rate and batch size is, and what pruning by difficulty gains in
theory.
"""

from __future__ import annotations

from scalingdb._arguments import tell
from scalingdb.practices._checkpoints import checkpoints_or_finals, drop_first_tokens
from scalingdb.practices._core import Practice
from scalingdb.practices._corpus import corpus
from scalingdb.practices._half_run import half_run
from scalingdb.practices._laws import all_laws
from scalingdb.practices._models import borrow, number_or_size, small_models
from scalingdb.practices._noise import seed_noise
from scalingdb.practices._pruning import pruning_theory
from scalingdb.practices._stopping import stop_early
from scalingdb.practices._tuning import plateau, regret

__all__ = [
    "Practice",
    "all_laws",
    "borrow",
    "checkpoints_or_finals",
    "corpus",
    "drop_first_tokens",
    "half_run",
    "number_or_size",
    "plateau",
    "pruning_theory",
    "regret",
    "seed_noise",
    "small_models",
    "stop_early",
]

tell(globals())
