"""Plan runs: how to split a budget, which law wins where, and what to train next.

`_surface` turns a law or a fit into a loss over N and D with draws of its coefficients; all else is
made from that. `_plan` finds the best split, `_crossover` and `_multiplier` compare two laws along their
optimal paths (`_pair` checks that they may be compared), `_approaches` estimates optimal sizes from runs
as Hoffmann et al. do (`_isoflop` holds the parabolas, `_allocation` the result), `_design` ranks the
runs that one could train next, `_next_runs` buys several for a budget (`_drift` says what they are worth), `_replay`
plays finished studies again. `_curve` is a law or fit as a function of its inputs by name; on it
stand `_solve` (the input at which a law reaches a value), `_optimise` (the best inputs under any cost)
and `_path` (two laws along any axis). `_pools` chooses data, `_transport` predicts a
mixture of sources.
"""

from __future__ import annotations

from scalingdb._arguments import tell
from scalingdb.planning._accelerators import accelerators
from scalingdb.planning._allocation import Allocation
from scalingdb.planning._approaches import approach_1, approach_2, approach_3, approaches
from scalingdb.planning._crossover import Crossover, crossover
from scalingdb.planning._design import next_run
from scalingdb.planning._multiplier import ComputeMultiplier, compute_multiplier
from scalingdb.planning._next_runs import NextRuns, next_runs
from scalingdb.planning._optimise import Optimum, optimise
from scalingdb.planning._plan import Plan, plan
from scalingdb.planning._pools import best_pool, mixed_pools
from scalingdb.planning._replay import RunsReplay, replay_runs
from scalingdb.planning._solve import Solution, solve
from scalingdb.planning._transport import mixture_distance, transport_forecast

__all__ = [
    "Allocation",
    "ComputeMultiplier",
    "Crossover",
    "NextRuns",
    "Optimum",
    "Plan",
    "RunsReplay",
    "Solution",
    "accelerators",
    "approach_1",
    "approach_2",
    "approach_3",
    "approaches",
    "best_pool",
    "compute_multiplier",
    "crossover",
    "mixed_pools",
    "mixture_distance",
    "next_run",
    "next_runs",
    "optimise",
    "plan",
    "replay_runs",
    "solve",
    "transport_forecast",
]

tell(globals())
