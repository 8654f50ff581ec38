-- One row per score in good standing that repeats one of another source, with the run and the value that it repeats. Scores
-- of one model (`model_id`) repeat each other where metric, unit, task and number of shots are the same and the values
-- agree within 0.1 % (and the tokens within 1 %, where both are known). Of these stays that of a first-hand source before
-- that of a collection. Within one source nothing repeats: equal scores of a few items are chance.
create or replace view repeated_scores as
with collections as (
    -- as in repeated_points
    select unnest([
        'hitchhiker', 'open_athena_isoflops', 'gemstones', 'obs_scaling', 'exp_emergence', 'sloth',
        'epoch_benchmark_stitching', 'epoch_ml_systems', 'open_llm_leaderboards'
    ]) as source_id, unnest(range(1, 10)) as place
),
shared as (
    -- few models are held twice: the rest need not be read
    select run_id, model_id, n_tokens
    from runs
    where model_id in (select model_id from runs group by model_id having count(distinct source_id) > 1)
),
good as materialized (
    select
        e.source_id, e.run_id, e.step, e.metric, e.eval_set as task, e.split, e.n_shots, r.model_id, e.unit,
        e.value as score, coalesce(e.n_tokens, r.n_tokens) as n_tokens, coalesce(c.place, 0) as place
    from evals e
    join shared r on r.run_id = e.run_id
    join metrics m on m.metric = e.metric and m.kind = 'score'
    left join collections c on c.source_id = e.source_id
    where e.flag is null
),
repeats as (
    select later.*, (earlier.place, earlier.source_id, earlier.run_id, earlier.split, earlier.score) as original
    from good later
    join good earlier
        on earlier.model_id = later.model_id
        and earlier.metric = later.metric
        and earlier.unit = later.unit
        and earlier.task = later.task
        and earlier.n_shots is not distinct from later.n_shots
    where (earlier.place, earlier.source_id) < (later.place, later.source_id)
        and abs(earlier.score - later.score) <= 1e-3 * abs(later.score)
        -- where tokens are unknown, a checkpoint on the way is not taken for the finished model
        and coalesce(abs(earlier.n_tokens / later.n_tokens - 1) <= 1e-2, later.step is null)
)
select
    * exclude (original),
    original[2] as of_source_id,
    original[3] as of_run_id,
    original[5] as of_score
from (
    select source_id, run_id, model_id, step, metric, task, split, n_shots, score, min(original) as original
    from repeats
    group by all
);
