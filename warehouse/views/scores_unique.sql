-- One row per piece of evidence: a score in good standing that repeats none of another source (see `repeated_scores` for the
-- rule, and for what each score left out here repeats).
create or replace view scores_unique as
select s.*
from scores s
anti join (
    -- -1 stands for null (neither can be negative): equality alone is twice as fast as "is not distinct from"
    select distinct run_id, metric, task, split, coalesce(step, -1) as step, coalesce(n_shots, -1) as n_shots
    from repeated_scores
) r
    on r.run_id = s.run_id
    and r.metric = s.metric
    and r.task = s.task
    and r.split = s.split
    and r.step = coalesce(s.step, -1)
    and r.n_shots = coalesce(s.n_shots, -1)
where s.flag is null;
