"""Loss curves of the warehouse on which fitting practices can be tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

__all__ = ["corpus"]

_QUERY = """
select
    source_id, study, metric, eval_set,
    case
        when source_id = 'hitchhiker' then family
        when family = source_id then source_id
        else source_id || ' ' || family
    end as family,
    case
        when study = 'gpt3_curves' then 'gpt3'
        when study = 'opt_curves' then 'opt'
        when family like 'datablations-c4%' then 'datablations C4'
        when family like 'datablations-oscar%' then 'datablations OSCAR'
        when family like 'pythia%' then 'pythia'
        when source_id = 'routed_lm' then 'routed'
        when source_id = 'olmo_ladder' then 'olmo ladder'
        else source_id
    end as unit,
    run_id, n as n_params, n_tokens,
    case when metric = 'perplexity' then ln(loss) else loss end as loss
from curves
where flag is null and n is not null and n_tokens > 0 and loss > 0 and (
       (source_id = 'hitchhiker' and (
              (study in ('gpt3_curves', 'datablations_curves') and metric = 'loss')
           or study = 'opt_curves'
           or (family in ('pythia_v0', 'pythia_deduped_v0') and eval_set = 'lambada_openai')))
    or (source_id = 'pythia_evals' and metric = 'perplexity' and eval_set = 'lambada_openai')
    or (source_id = 'gemstones' and family = 'hot' and eval_set = 'validation')
    or (source_id = 'olmo_ladder' and metric = 'loss' and eval_set = 'c4_en')
    or (source_id = 'routed_lm' and family = 'dense' and eval_set = 'validation'
        -- five 'dense' runs have widened layers, which the source's N does not count
        and run_id in (select run_id from runs where source_id = 'routed_lm' and flop_increase = 1)))
order by unit, family, n_params, run_id, n_tokens
"""


def corpus(db: Warehouse) -> pl.DataFrame:
    """Families of models with loss curves, on which practices of fitting can be tried.

    From the collection of the guide (source ``hitchhiker``) all families of three sizes and more
    whose losses are cross-entropies at known tokens: GPT-3 and OPT, fifteen series of the
    data-constrained runs, Pythia (LAMBADA). Four newer sources are added: the Pythia suite with its
    early checkpoints, Gemstones, the OLMo ladder, and the dense models of the routing study.
    Perplexities become logarithms: losses in nats, per token or (LAMBADA) per word.

    Left out: Pile-T5 (perplexities on an unstated scale), the gzip runs (trained on fewer than ten
    million tokens), ModuleFormer (three sizes that differ in experts), single models.

    Returns
    -------
    DataFrame
        One row per checkpoint: ``source_id, study, metric, eval_set, family, unit, run_id, n_params``
        (as the source's headline analysis counts), ``n_tokens, loss``. A ``unit`` is one independent
        set of models or data: the epochs of one corpus, or Pythia's variants, are not independent.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> from scalingdb import practices
    >>> practices.corpus(sdb.connect())["unit"].n_unique()
    8
    """
    return db.sql(_QUERY).filter(pl.col("n_params").n_unique().over("family") >= 3)
