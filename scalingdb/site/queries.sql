-- # What is there
-- ## Sources with the most measured numbers
select source_id, count(*) as numbers, count(distinct run_id) as runs
from evals
group by all
order by numbers desc
limit 10;

-- ## Runs by architecture, and the range of their sizes
select architecture, count(*) as runs, count(distinct source_id) as sources,
       min(n_params) as smallest, max(n_params) as largest
from runs
where architecture is not null
group by all
order by runs desc;

-- ## Which metrics are there, in which unit
select m.metric, m.kind, e.unit, count(*) as numbers, count(distinct e.source_id) as sources
from evals e
join metrics m using (metric)
group by all
order by numbers desc
limit 12;

-- ## Flagged rows and the reasons
select source_id, flag, any_value(flag_reason) as a_reason, count(*) as numbers
from evals
where flag is not null
group by all
order by numbers desc
limit 8;

-- ## How a number can be traced: the raw file, record and field
select run_id, value, unit, raw_file, raw_row, raw_field
from evals
where source_id = 'farseer'
order by run_id
limit 5;

-- # Runs and losses
-- ## Final loss of every run of a source
select run_id, n_params, n_tokens, loss, unit
from points
where source_id = 'epoch_chinchilla' and flag is null
order by loss
limit 8;

-- ## Last checkpoint per run
-- The view `curves` has every checkpoint; `arg_max` keeps the last.
select run_id, max(n_tokens) as n_tokens, arg_max(loss, n_tokens) as last_loss, count(*) as checkpoints
from curves
where source_id = 'pythia_evals' or source_id = 'datablations' or source_id = 'gemstones'
group by run_id
order by checkpoints desc
limit 8;

-- ## IsoFLOP groups
-- Runs of one budget, to the nearest tenth of a decade, and the size with the least loss in each.
select round(log10(train_flops_6nd), 1) as log10_flop, count(*) as runs,
       arg_min(n, loss) as best_n, min(loss) as least_loss
from points
where source_id = 'open_athena_isoflops' and flag is null and loss is not null
group by all
having count(*) >= 5
order by log10_flop
limit 12;

-- ## Tokens per parameter by year
select extract(year from release_date) as year, count(*) as models,
       round(median(n_tokens / n_params), 1) as tokens_per_parameter
from runs
where n_tokens > 0 and n_params > 0 and release_date is not null
group by year
having count(*) >= 5
order by year;

-- ## Loss by doubling of tokens, one model size
select floor(log2(n_tokens / 1e9)) as doublings, count(*) as rows, round(avg(loss_nats), 4) as mean_loss_nats
from curves
where source_id = 'gadre_overtraining' and flag is null and loss_nats is not null
group by all
order by doublings;

-- ## The same measurement in several sources
select *
from repeated_points
limit 5;

-- ## How many runs count once only
select (select count(*) from points) as rows_of_points, (select count(*) from points_unique) as counted_once;

-- # Laws
-- ## A published law as a function
select law_chinchilla(7e9, 1.4e12) as loss;

-- ## Residuals of a published law
-- What the law says about the very runs that it was fitted to.
select run_id, loss, law_chinchilla(n_params, n_tokens) as predicted,
       100 * (loss / law_chinchilla(n_params, n_tokens) - 1) as error_percent
from points
where source_id = 'epoch_chinchilla' and flag is null
order by abs(loss / law_chinchilla(n_params, n_tokens) - 1) desc
limit 8;

-- ## A law on the runs of another study
select p.run_id, p.n_params, p.n_tokens, p.loss, law_chinchilla(p.n_params, p.n_tokens) as predicted
from points p
where p.source_id = 'gadre_overtraining' and p.metric = 'loss' and p.eval_set = 'c4_val' and p.flag is null
order by p.run_id
limit 8;

-- ## The coefficients that papers print
select law, variant, string_agg(param || ' = ' || round(value, 4), ', ' order by param) as coefficients, source_id
from published_fits
where law = 'chinchilla'
group by all
order by variant;

-- ## Where a coefficient stands in its paper
select law, variant, param, value, where_stated, evidence
from published_fits
where source_id = 'hoffmann'
order by law, variant, param
limit 8;

-- ## Loss along a budget
-- One budget of 1e22 FLOP, split in eleven ways.
with sizes as (select 10 ** (9 + i / 5) as n from range(0, 11) t(i))
select n as n_params, 1e22 / (6 * n) as n_tokens, 1e22 / (6 * n * n) as tokens_per_parameter,
       law_chinchilla(n, 1e22 / (6 * n)) as loss
from sizes
order by n;

-- # Models and scores
-- ## Models above the frontier
-- The best score so far at each amount of compute, one task.
with ranked as (
    select model_name, train_flops, score,
           max(score) over (order by train_flops rows between unbounded preceding and 1 preceding) as best_before
    from scores
    where task = 'mmlu' and flag is null and train_flops > 0 and source_id = 'obs_scaling'
)
select model_name, train_flops, score, best_before
from ranked
where score > coalesce(best_before, 0)
order by train_flops
limit 15;

-- ## Tasks with the most models
select task, metric, count(distinct run_id) as models, min(n) as smallest, max(n) as largest
from scores
where flag is null
group by all
order by models desc
limit 10;

-- ## Score above chance by size
select model_name, n, score, chance_level, score_above_chance
from scores
where source_id = 'pythia_evals' and task = 'hendrycksTest-astronomy' and metric = 'acc'
      and step = 143000 and n_shots = 0 and flag is null
order by n;

-- ## Does a score get worse with size? Rank correlation by task
with ranks as (
    select task, rank() over (partition by task order by n) as by_size,
           rank() over (partition by task order by score) as by_score
    from scores
    where source_id = 'inverse_scaling_mt' and flag is null and n > 0
)
select task, count(*) as rows, round(corr(by_size, by_score), 2) as rank_correlation
from ranks
group by task
having count(*) >= 5
order by rank_correlation
limit 10;

-- ## Combinations that nobody trained
-- Cells of the plane of N and D, in half decades, between the smallest and the largest of a study, without a run.
with cells as (
    select floor(2 * log10(n)) / 2 as log_n, floor(2 * log10(n_tokens)) / 2 as log_d, count(*) as runs
    from points
    where source_id = 'epoch_chinchilla' and n > 0 and n_tokens > 0
    group by all
)
select a.log_n, b.log_d, coalesce(c.runs, 0) as runs
from (select distinct log_n from cells) a
cross join (select distinct log_d from cells) b
left join cells c on c.log_n = a.log_n and c.log_d = b.log_d
where c.runs is null
order by all;

-- # Findings and the ledger
-- ## What papers say about the exponents of the optimal split
select source_id, claim, value, unit, where_stated
from claims
where claim ilike '%optimal%' and claim ilike '%exponent%' and value is not null
qualify row_number() over (partition by source_id order by claim_id) <= 2
order by source_id, claim_id
limit 8;

-- ## Papers with the most findings
select source_id, count(*) as findings
from claims
group by all
order by findings desc
limit 10;

-- ## Findings that data of another source can test
select source_id as stated_by, test_source as tested_with, claim
from claims
where test_source is not null and test_source <> source_id
order by source_id
limit 8;

-- ## How to cite a source
select bibtex
from sources
where source_id = 'farseer';

-- # Files and provenance
-- ## What became of each raw file
select source_id, raw_file, n_rows_in, n_rows_landed, n_rows_set_aside, set_aside_reason
from raw_files
where n_rows_set_aside > 0
order by n_rows_set_aside desc
limit 8;

-- ## Licences
select licence, count(*) as sources, count(*) filter (is_shipped) as shipped
from sources
group by all
order by sources desc
limit 8;
