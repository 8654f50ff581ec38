-- One row per run, metric, evaluation set, split and number of shots: the row of `evals` with the last loss of the curve.
-- A row in good standing is preferred to a flagged one of the same run. A row without tokens of its own counts as the
-- end of the training, as in `curves`.
create or replace view last_losses as
-- the last row is found on its key alone: sorting whole rows would take four times as long
with ends as (
    select
        source_id, run_id, metric, eval_set, split, n_shots,
        max((flag is null, coalesce(n_tokens, 'inf'), coalesce(n_examples, -1), coalesce(step, -1))) as furthest
    from evals
    where metric in (select metric from metrics where kind = 'loss')
    group by all
)
select e.*
from evals e
join ends x  -- one row at most: a key and a step name one row
    on e.source_id = x.source_id  -- follows from run_id; named, so that a query of one source reads that source only
    and e.run_id = x.run_id
    and e.metric = x.metric
    and e.eval_set = x.eval_set
    and e.split = x.split
    and e.n_shots is not distinct from x.n_shots
    and x.furthest = (e.flag is null, coalesce(e.n_tokens, 'inf'), coalesce(e.n_examples, -1), coalesce(e.step, -1));
