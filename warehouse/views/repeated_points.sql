-- One row per point in good standing that repeats another, with the run and the value that it repeats. Of the values of one
-- model (`model_id`) with the same metric, unit, evaluation set and number of shots that agree within 0.1 % (and in tokens
-- within 1 %, where both are known) one stays: that of a first-hand source before that of a collection. Ends of training
-- curves that a collection holds repeat the first-hand point of the same run where they agree within 0.5 %.
create or replace view repeated_points as
with collections as (
    -- sources that repeat numbers of others, the nearest to the origin first; all other sources are first-hand
    select unnest([
        'hitchhiker', 'open_athena_isoflops', 'gemstones', 'obs_scaling', 'exp_emergence', 'sloth',
        'epoch_benchmark_stitching', 'epoch_ml_systems'
    ]) as source_id, unnest(range(1, 9)) as place
),
copied_studies(source_id, study, eval_set, origin, origin_eval_set) as (
    -- curves of another source's runs; the evaluation sets have other names there
    values ('hitchhiker', 'datablations_curves', 'c4', 'datablations', 'c4_validation')
),
good as materialized (
    select
        p.source_id, p.study, p.run_id, p.metric, p.eval_set, p.split, p.n_shots,
        p.model_id, p.unit, p.loss, p.n_tokens, coalesce(c.place, 0) as place
    from points p
    left join collections c using (source_id)
    where p.flag is null and p.model_id is not null
),
repeats as (
    select later.*, (earlier.place, earlier.source_id, earlier.run_id, earlier.split, earlier.loss) as original
    from good later
    join good earlier
        on earlier.model_id = later.model_id
        and earlier.metric = later.metric
        and earlier.unit = later.unit
        and earlier.eval_set = later.eval_set
        and earlier.n_shots is not distinct from later.n_shots
    where (earlier.place, earlier.source_id, earlier.run_id, earlier.split)
        < (later.place, later.source_id, later.run_id, later.split)
        and abs(earlier.loss - later.loss) <= 1e-3 * abs(later.loss)
        and coalesce(abs(earlier.n_tokens / later.n_tokens - 1) <= 1e-2, true)
    union all
    select later.*, (earlier.place, earlier.source_id, earlier.run_id, earlier.split, earlier.loss)
    from good later
    join copied_studies s
        on s.source_id = later.source_id and s.study = later.study and s.eval_set = later.eval_set
    join good earlier
        on earlier.model_id = later.model_id
        and earlier.source_id = s.origin
        and earlier.eval_set = s.origin_eval_set
        and earlier.metric = later.metric
        and earlier.unit = later.unit
    where abs(earlier.n_tokens / later.n_tokens - 1) <= 0.01
        and abs(earlier.loss / later.loss - 1) <= 0.005
)
select
    * exclude (original),
    original[2] as of_source_id,
    original[3] as of_run_id,
    original[5] as of_loss
from (
    select source_id, run_id, model_id, metric, eval_set, split, n_shots, loss, min(original) as original
    from repeats
    group by all
);
