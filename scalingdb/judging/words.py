"""What is said of errors and of differences between them."""

from __future__ import annotations

import math
from typing import Literal

from scalingdb.judging.resampling import Draws

__all__ = ["Finding", "count_of", "finding", "multiple", "pair_verdict", "resampled_words", "said_of_pair"]

Finding = Literal["lower", "higher", "noise", "unknown"]
"""Whether a difference lies below 0, above 0, is indistinguishable from 0, or cannot be judged."""


def finding(low: float | None, high: float | None) -> Finding:
    """What the interval of a difference says of its sign."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return "unknown"
    return "lower" if high < 0 else "higher" if low > 0 else "noise"


def multiple(value: float, unit: str = " times") -> str:
    """A ratio in words: ``2.3 times``."""
    return (f"{value:.1f}" if value < 100 else f"{value:.3g}") + unit


def count_of(number: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def resampled_words(draws: Draws, unit: str) -> str:
    """What was resampled; `unit` names what is drawn from the held-out rows, such as ``runs``."""
    if draws.draws_units:
        return f"held-out {unit} and training runs" if draws.draws_refits else f"held-out {unit}"
    return "training runs only" if draws.draws_refits else "nothing"


def pair_verdict(draws: Draws, better: str, is_noise: bool | None, share_better: float | None) -> str:
    """Whether the better one of two laws is better by more than noise."""
    if draws.draws_units:
        if is_noise is None:
            return "an error is infinite: nothing can be said"
        limits = "" if draws.draws_refits else " among these fits"
        if is_noise:
            return f"a difference that could be noise{limits}"
        return f"{better} is better{limits}: not noise"
    if share_better is not None:
        few = f"{draws.n_units} runs are too few to say more"
        return f"{better} is better on them in {100 * share_better:.0f} % of refits; {few}"
    return f"{count_of(draws.n_units, 'held-out run')} {'is' if draws.n_units == 1 else 'are'} too few to tell"


def said_of_pair(
    is_noise: bool | None, n_units: int, ratio_low: float | None, ratio_high: float | None, *, draws_refits: bool
) -> str:
    """What follows "2.3 times as much" in a sentence."""
    if is_noise is None or ratio_low is None or ratio_high is None:
        return f"; {count_of(n_units, 'run')} {'is' if n_units == 1 else 'are'} too few to rule out chance"
    limits = "" if draws_refits else "; the noise of the fitted runs is not included"
    if is_noise:
        return f"; the difference could be noise{limits}"
    return f", 95 % interval {multiple(ratio_low, '')} to {multiple(ratio_high, '')}: not noise{limits}"
