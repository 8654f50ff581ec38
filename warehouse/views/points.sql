-- One row per run, metric, evaluation set, split and number of shots: the last value of the curve.
-- A row in good standing is preferred to a flagged one of the same run.
create or replace view points as from loss_rows('last_losses');
