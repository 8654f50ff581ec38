-- One row a run, metric, evaluation set, split and number of shots: the last value of the curve.
-- A row in good standing is preferred to a flagged one of the same run.
create or replace view points as
select * from curves
qualify row_number() over (
    partition by run_id, metric, eval_set, split, n_shots
    order by flag is not null, n_tokens desc nulls last, n_examples desc nulls last, step desc nulls last
) = 1;
