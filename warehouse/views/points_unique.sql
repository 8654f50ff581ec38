-- One row a piece of evidence: a point in good standing that repeats no other. Of the values of one model (`model_id`)
-- with the same metric, unit, evaluation set and number of shots that agree within 0.1 % (and in tokens within 1 %,
-- where both are known) one stays: that of a first-hand source before that of a collection. Ends of training curves
-- that a collection holds are out where the first-hand source has a run of the same setting and loss.
create or replace view points_unique as
with collections as (
    -- sources that repeat numbers of others, the nearest to the origin first; all other sources are first-hand
    select unnest([
        'hitchhiker', 'open_athena_isoflops', 'gemstones', 'obs_scaling', 'exp_emergence', 'sloth',
        'epoch_benchmark_stitching', 'epoch_ml_systems'
    ]) as source_id, unnest(range(1, 9)) as place
),
copied_studies(source_id, study, eval_set, origin, origin_eval_set) as (
    -- trainings of another source under names of their own
    values
        ('hitchhiker', 'datablations_points', 'c4', 'datablations', 'c4_validation'),
        ('hitchhiker', 'datablations_curves', 'c4', 'datablations', 'c4_validation')
),
good as materialized (
    select p.*, coalesce(c.place, 0) as place
    from points p
    left join collections c using (source_id)
    where p.flag is null
),
repeats as (
    select later.run_id, later.metric, later.eval_set, later.split, later.n_shots
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
    union
    select later.run_id, later.metric, later.eval_set, later.split, later.n_shots
    from good later
    join copied_studies s
        on s.source_id = later.source_id and s.study = later.study and s.eval_set = later.eval_set
    join good earlier
        on earlier.source_id = s.origin
        and earlier.eval_set = s.origin_eval_set
        and earlier.metric = later.metric
        and earlier.unit = later.unit
    -- the collection rounds sizes and names unique tokens by a whole number of epochs
    where abs(earlier.n / later.n - 1) <= 0.05
        and abs(earlier.n_tokens / later.n_tokens - 1) <= 0.01
        and abs(earlier.n_tokens_unique / later.n_tokens_unique - 1) <= 0.15
        and abs(earlier.loss / later.loss - 1) <= 0.005
)
select p.* exclude (place)
from good p
anti join repeats r
    on r.run_id = p.run_id
    and r.metric = p.metric
    and r.eval_set = p.eval_set
    and r.split = p.split
    and r.n_shots is not distinct from p.n_shots;
