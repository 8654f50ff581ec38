-- One row per piece of evidence: a point in good standing that repeats no other (see `repeated_points` for the rule, and
-- for what each point left out here repeats).
create or replace view points_unique as
select p.*
from points p
anti join repeated_points r
    on r.source_id = p.source_id
    and r.run_id = p.run_id
    and r.metric = p.metric
    and r.eval_set = p.eval_set
    and r.split = p.split
    and r.n_shots is not distinct from p.n_shots
where p.flag is null;
