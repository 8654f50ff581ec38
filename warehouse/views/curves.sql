-- One row per loss measurement, at every step the source reports.
-- `n` is the parameter count that the source's headline analysis uses (named in n_definition);
-- train_flops_6nd is 6 * n * n_tokens. loss_nats is null where the unit has no conversion.
create or replace macro loss_rows(measured) as table  -- `measured`: evals, or some of its rows
select
    e.run_id,
    e.source_id,
    r.study,
    r.family,
    r.model_name,
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
    -- the figure that Epoch digitised gives FLOP and N, not tokens: the identity C = 6ND is the authors' own
    coalesce(e.n_tokens, r.n_tokens, r.train_flops / (6 * r.n_params)) as n_tokens,
    case
        when e.n_tokens is not null or r.n_tokens is not null then 'reported'
        when r.train_flops / r.n_params is not null then 'derived: train_flops / (6 n_params)'
    end as n_tokens_origin,
    e.n_examples,
    e.step,
    r.train_flops,
    6 * n * coalesce(e.n_tokens, r.n_tokens, r.train_flops / (6 * r.n_params)) as train_flops_6nd,
    e.value as loss,
    case e.unit
        when 'perplexity' then ln(e.value)
        else e.value * u.nats_factor
    end as loss_nats,
    e.metric,
    e.unit,
    e.eval_set,
    e.split,
    e.n_shots,
    e.std_error,
    e.low,
    e.high,
    e.value_origin,
    e.flag,
    e.flag_reason,
    r.corpus,
    r.tokenizer_id,
    r.architecture,
    r.n_tokens_unique,
    r.n_epochs,
    r.learning_rate,
    r.batch_size_tokens,
    r.d_model,
    r.n_layers,
    r.model_id,
    r.release_date,
    r.base_model,
    r.precision_weight_bits,
    r.tokens_per_sample,
    r.accelerator_hours,
    e.eval_domain,
    e.raw_file,
    e.raw_row,
    e.raw_field
from query_table(measured) e
join metrics m on m.metric = e.metric and m.kind = 'loss'
join units u on u.unit = e.unit
join runs r on r.run_id = e.run_id and r.source_id = e.source_id  -- the second lets a query of one source read only its runs
join sources s on s.source_id = e.source_id;

create or replace view curves as from loss_rows('evals');
