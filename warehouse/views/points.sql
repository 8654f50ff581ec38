-- One row a run, metric, evaluation set, split and number of shots: the last value of the curve.
-- A row in good standing is preferred to a flagged one of the same run.
create or replace view points as
-- the last row is found on its key alone: sorting whole rows would take four times as long
with ends as (
    select
        source_id, run_id, metric, eval_set, split, n_shots,
        max((flag is null, coalesce(n_tokens, -1), coalesce(n_examples, -1), coalesce(step, -1))) as furthest
    from curves
    group by all
)
select c.*
from curves c
join ends e  -- one row at most: a key and a step name one row
    on e.source_id = c.source_id  -- follows from run_id; named, so that a query of one source reads that source only
    and e.run_id = c.run_id
    and e.metric = c.metric
    and e.eval_set = c.eval_set
    and e.split = c.split
    and e.n_shots is not distinct from c.n_shots
    and e.furthest = (c.flag is null, coalesce(c.n_tokens, -1), coalesce(c.n_examples, -1), coalesce(c.step, -1));
