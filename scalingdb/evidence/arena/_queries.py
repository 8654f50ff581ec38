"""SQL that several data sets share: one row per run, checkpoint or step of a frontier."""

from __future__ import annotations

__all__ = [
    "CLIP",
    "FARSEER",
    "LLAMA",
    "MARIN",
    "MISFITTING",
    "POINTS",
    "PORIAN",
    "REPEATED",
    "REPEATED_CURVES",
    "ROUTED",
    "SCORES",
    "STREAMS",
    "VISION",
    "best",
    "frontier",
    "points",
    "thinned",
]


POINTS = """
    select run_id, n as n_params, n_tokens, n_tokens / n as tokens_per_param, {scale} as scale, loss
    from points where source_id = '{source}' and flag is null and {where}
"""


def points(source: str, where: str, scale: str = "train_flops_6nd") -> str:
    return POINTS.format(source=source, where=where, scale=scale)


def thinned(
    view: str, loss: str, where: str, per_decade: int, x: str = "n_tokens", scale: str = "6 * n * n_tokens"
) -> str:
    """The last checkpoint of every run in each of `per_decade` equal steps of log x."""
    return f"""
    select run_id, n as n_params, n_tokens, {x} as x, n_tokens / n as tokens_per_param, {scale} as scale, {loss} as loss
    from {view} where flag is null and {where}
    qualify row_number() over (partition by run_id, floor({per_decade} * log10({x})) order by {x} desc) = 1
"""


def frontier(rows: str) -> str:
    """Rows whose loss no row of less compute reaches: what one has to pay for a loss."""
    return f"""
    select run_id, scale as x, scale, loss from ({rows})
    qualify loss < coalesce(
        min(loss) over (order by scale, loss rows between unbounded preceding and 1 preceding), 1e300
    )
"""


def best(rows: str, keys: str) -> str:
    """The run with the lowest loss of each setting: hyper-parameters were swept around it."""
    return f"select * from ({rows}) qualify row_number() over (partition by {keys} order by loss, run_id) = 1"


FARSEER = points("farseer", "metric = 'bits_per_character'")
MISFITTING = best(points("misfitting", "study = 'misfitting' and eval_set = 'c4_val'"), "n_params, n_tokens")
LLAMA = """
    select run_id, train_flops / (6 * n_tokens) as n_params, n_tokens,
        6 * n_tokens**2 / train_flops as tokens_per_param, train_flops as scale, loss
    from points where source_id = 'llama3_isoflop' and flag is null
"""
PORIAN = "family = '{}-tuned-short-const-standard'"
CLIP = """
    select e.run_id, r.n_params, r.n_samples_seen as n_tokens, r.train_flops as scale, 1 - e.value as loss
    from evals e join runs r using (run_id)
    where e.source_id = 'laion_clip_mammut' and e.metric = 'acc' and r.family = '{}'
"""
REPEATED = """
    select run_id, n_params, n_tokens, n_epochs, n_tokens / n_params as tokens_per_param,
        6 * n_params * n_tokens as scale, least(n_tokens, n_tokens_unique) as n_tokens_unique, loss
    from points where source_id = '{}' and flag is null and {}
"""
REPEATED_CURVES = """
    select run_id, n_params, n_tokens, greatest(n_tokens / n_tokens_unique, 1) as n_epochs,
        n_tokens / n_params as tokens_per_param,
        6 * n_params * n_tokens as scale, least(n_tokens, n_tokens_unique) as n_tokens_unique, loss
    from curves
    where source_id = 'hitchhiker' and study = 'datablations_curves' and eval_set = '{}' and flag is null
        and n_tokens > 2e9
    qualify row_number() over (partition by run_id, floor(5 * log10(n_tokens)) order by n_tokens desc) = 1
"""
STREAMS = """
    select p.run_id, p.n_params_non_embedding as n_params, r.n_streams,
        6 * p.n_params_non_embedding * r.n_streams * p.n_tokens as scale, p.loss
    from points p join runs r using (run_id) where p.source_id = 'parscale' and p.family = '{}'
"""
ROUTED = """
    select p.run_id, p.n_params_active as n_params, r.n_experts, 6 * p.n_params_active * p.n_tokens as scale, p.loss
    from points p join runs r using (run_id)
    where p.source_id = 'routed_lm' and p.eval_set = 'validation' and p.family in ('dense', '{}') and p.flag is null
        and r.n_experts_active = 1 and r.routing_frequency = 0.5 and r.flop_increase = 1
"""
VISION = """
    select run_id, n_examples as x, n_examples as scale, loss from curves
    where source_id = 'hitchhiker' and study = 'revisiting_vision' and family = 'vision-{}' and eval_set = '{}'
        and flag is null
    qualify row_number() over (partition by floor(20 * log10(n_examples)) order by n_examples desc) = 1
"""
SCORES = """
    select s.run_id, s.n as n_params, s.n_tokens, s.train_flops_6nd as scale,
        log10(s.train_flops_6nd) as capability, s.score
    from scores s
    where s.source_id = '{source}' and s.flag is null and {where}
"""
MARIN = "study = 'marin' and family = 'marin_{}'"
