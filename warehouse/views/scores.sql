-- One row per downstream score, at every step the source reports.
create or replace view scores as
select
    e.run_id,
    e.source_id,
    r.study,
    r.family,
    r.model_name,
    r.model_id,
    r.n_params,
    r.n_params_non_embedding,
    r.n_params_active,
    case s.n_definition
        when 'n_params_non_embedding' then r.n_params_non_embedding
        when 'n_params_with_head' then r.n_params_with_head
        when 'n_params_active' then r.n_params_active
        else r.n_params
    end as n,
    s.n_definition,
    n * r.precision_weight_bits as total_bits,
    coalesce(e.n_tokens, r.n_tokens) as n_tokens,
    e.n_examples,
    e.step,
    r.train_flops,
    6 * n * coalesce(e.n_tokens, r.n_tokens) as train_flops_6nd,
    e.eval_set as task,
    e.metric,
    e.n_shots,
    e.value as score,
    e.unit,
    e.std_error,
    e.n_items,
    e.chance_level,
    (e.value - e.chance_level) / (1 - e.chance_level) as score_above_chance,
    e.split,
    e.value_origin,
    e.flag,
    e.flag_reason,
    r.corpus,
    r.architecture,
    r.release_date,
    r.base_model,
    r.precision_weight_bits,
    r.tokens_per_sample,
    r.accelerator_hours,
    e.n_samples,
    e.n_tokens_inference,
    e.inference_flops,
    e.concept_count,
    e.demand_level,
    e.eval_domain,
    e.raw_file,
    e.raw_row,
    e.raw_field
from evals e
join metrics m on m.metric = e.metric and m.kind = 'score'
join runs r on r.run_id = e.run_id and r.source_id = e.source_id  -- the second lets a query of one source read only its runs
join sources s on s.source_id = e.source_id;
