"""The data sets that laws meet in: each declared once, as a query and what its columns mean."""

from __future__ import annotations

import polars as pl

from scalingdb.evidence.arena._dataset import DataSet
from scalingdb.evidence.arena._queries import (
    CLIP,
    FARSEER,
    LLAMA,
    MARIN,
    MISFITTING,
    PORIAN,
    REPEATED,
    REPEATED_CURVES,
    ROUTED,
    SCORES,
    STREAMS,
    VISION,
    best,
    frontier,
    points,
    thinned,
)

__all__ = ["DATA_SETS", "data_sets"]

RATIO = ("scale", "tokens_per_param")

DATA_SETS: tuple[DataSet, ...] = (
    # ---- surfaces: grids of runs that ended on their own schedule -----------------------------------
    DataSet(
        "farseer",
        "farseer",
        "surface",
        "own grid: 25 sizes with many token counts, one recipe",
        FARSEER,
        "bits per character, English validation text; N without embeddings",
        axes=RATIO,
        is_grid=True,
    ),
    DataSet(
        "chinchilla",
        "epoch_chinchilla",
        "surface",
        "own grid: isoFLOP profiles, digitised from a figure",
        points("epoch_chinchilla", "true"),
        "nats per token; total N",
        axes=RATIO,
        is_grid=True,
    ),
    *(
        DataSet(
            f"gadre_{corpus}",
            "gadre_overtraining",
            "surface",
            "over-trained: few sizes at 20 to 640 tokens per parameter or more",
            points(
                "gadre_overtraining",
                f"study = 'gadre_overtraining' and family = '{corpus}' and metric = 'loss' and eval_set = 'c4_val'",
            ),
            "nats per token, C4 validation; total N",
            axes=RATIO,
        )
        for corpus in ("c4", "redpajama", "refinedweb")
    ),
    DataSet(
        "misfitting",
        "misfitting",
        "surface",
        "own grid: best learning rate of every size and length; trained on FineWeb, judged on C4",
        MISFITTING,
        "nats per token, C4 validation; total N",
        axes=RATIO,
        is_grid=True,
    ),
    DataSet(
        "misfitting_sheet",
        "misfitting",
        "surface",
        "own grid: an older sweep with another tokenizer, best run of every size and length",
        best(points("misfitting", "study = 'misfitting_sheet' and eval_set = 'c4_val_sheet'"), "n_params, n_tokens"),
        "nats per token, C4 validation, three digits; total N",
        axes=RATIO,
        is_grid=True,
    ),
    DataSet(
        "porian_refinedweb",
        "porian_discrepancies",
        "surface",
        "own grid: isoFLOP points of tuned runs at constant learning rate",
        points("porian_discrepancies", PORIAN.format("rw") + " and metric = 'loss'"),
        "nats per token, RefinedWeb validation; N with the output head",
        is_grid=True,
    ),
    DataSet(
        "porian_openwebtext2",
        "porian_discrepancies",
        "surface",
        "own grid: isoFLOP points of tuned runs at constant learning rate",
        points("porian_discrepancies", PORIAN.format("owt2") + " and metric = 'loss'"),
        "nats per token, OpenWebText2 validation; N with the output head",
        is_grid=True,
    ),
    DataSet(
        "olmo_ladder",
        "olmo_ladder",
        "surface",
        "over-trained: small runs at 1 to 10 times the Chinchilla tokens, two large targets",
        points(
            "olmo_ladder", "eval_set = 'c4_en' and run_id not in ('olmo_ladder/peteish7-medlr', 'olmo_ladder/peteish7')"
        ),
        "nats per token, C4; N without embeddings",
        axes=RATIO,
    ),
    DataSet(
        "gemstones_cooldown",
        "gemstones",
        "surface",
        "over-trained: twenty shapes, each decayed from several lengths",
        points("gemstones", "family = 'cooldown' and eval_set = 'validation'"),
        "nats per token, held-out text; total N",
        axes=RATIO,
        is_grid=True,
    ),
    DataSet(
        "steplaw",
        "steplaw",
        "surface",
        "own grid, small: best of a hundred hyper-parameters at each of seventeen (N, D)",
        best(points("steplaw", "study = 'dense' and metric = 'train_loss_smoothed'"), "n_params, n_tokens"),
        "nats per token, smoothed training loss; N without embeddings",
        axes=RATIO,
    ),
    *(
        DataSet(
            f"marin_{corpus}",
            "open_athena_isoflops",
            "surface",
            "own grid: isoFLOP profiles",
            points("open_athena_isoflops", MARIN.format(corpus) + " and metric = 'loss'", "train_flops"),
            "nats per token, mean over Paloma; total N",
            is_grid=True,
        )
        for corpus in ("comma", "dclm", "nemotron")
    ),
    DataSet(
        "llama3",
        "llama3_isoflop",
        "surface",
        "own grid: isoFLOP profiles, digitised; N is C / (6 D) by assumption",
        LLAMA,
        "rescaled nats",
        is_grid=True,
    ),
    DataSet(
        "datablations_single",
        "datablations",
        "surface",
        "own grid: one epoch each",
        points("datablations", "family = 'c4' and n_epochs = 1"),
        "nats per token, C4 validation; total N",
        axes=RATIO,
    ),
    *(
        DataSet(
            f"gzip_{ratio}",
            "hitchhiker",
            "surface",
            f"own grid, tiny: artificial text that compresses to {ratio}",
            points("hitchhiker", f"study = 'gzip' and family = 'gzipscale-{ratio}' and metric = 'loss'"),
            "nats per token, validation; total N",
            is_grid=True,
        )
        for ratio in ("0.12", "0.61")
    ),
    # ---- surfaces: checkpoints ------------------------------------------------------------------------
    DataSet(
        "gpt3_curves",
        "hitchhiker",
        "surface",
        "checkpoints of eight models in the middle of their schedules",
        thinned("curves", "loss", "source_id = 'hitchhiker' and study = 'gpt3_curves' and metric = 'loss'", 12),
        "nats per token, validation; total N by name",
        axes=RATIO,
    ),
    DataSet(
        "opt_curves",
        "hitchhiker",
        "surface",
        "checkpoints of six models in the middle of their schedules",
        thinned("curves", "ln(loss)", "source_id = 'hitchhiker' and study = 'opt_curves'", 12),
        "log perplexity, validation; total N by name",
        axes=RATIO,
    ),
    DataSet(
        "gemstones_hot",
        "gemstones",
        "surface",
        "checkpoints of 22 shapes at a constant learning rate",
        thinned("curves", "loss", "source_id = 'gemstones' and family = 'hot' and eval_set = 'validation'", 6),
        "nats per token, held-out text; total N",
        axes=RATIO,
    ),
    DataSet(
        "pythia_lambada",
        "pythia_evals",
        "surface",
        "checkpoints of eight models on one small benchmark",
        thinned(
            "curves",
            "ln(loss)",
            "source_id = 'pythia_evals' and family = 'pythia' and metric = 'perplexity' and n_shots = 0 "
            "and n_tokens > 2e9",
            8,
        ),
        "log perplexity per word, LAMBADA; total N by name",
        axes=RATIO,
    ),
    DataSet(
        "lamda_curves",
        "hitchhiker",
        "surface",
        "checkpoints of five models; D counts training examples",
        thinned(
            "curves",
            "loss",
            "source_id = 'hitchhiker' and study = 'revisiting_language' and family = 'lamda'",
            10,
            x="n_examples",
            scale="n * n_examples",
        ).replace("n_tokens, n_examples as x, n_tokens / n", "n_examples as n_tokens, n_examples as x, n_examples / n"),
        "rescaled nats, validation; total N",
        scale="parameters times examples",
    ),
    # ---- one variable ----------------------------------------------------------------------------------
    DataSet(
        "frontier_farseer",
        "farseer",
        "curve",
        "frontier: least loss at each compute",
        frontier(FARSEER),
        "bits per character, English validation text",
    ),
    DataSet(
        "frontier_misfitting",
        "misfitting",
        "curve",
        "frontier: least loss at each compute",
        frontier(MISFITTING),
        "nats per token, C4 validation",
    ),
    DataSet(
        "frontier_porian",
        "porian_discrepancies",
        "curve",
        "frontier: least loss at each compute",
        frontier(points("porian_discrepancies", PORIAN.format("rw") + " and metric = 'loss'")),
        "nats per token, RefinedWeb validation",
    ),
    DataSet(
        "frontier_llama3",
        "llama3_isoflop",
        "curve",
        "frontier: least loss at each compute",
        frontier(LLAMA),
        "rescaled nats",
    ),
    *(
        DataSet(
            f"frontier_{family}",
            "laion_clip_mammut",
            "curve",
            "frontier of a vision-language sweep: least error at each compute",
            frontier(CLIP.format(family)),
            "zero-shot error, ImageNet",
        )
        for family in ("clip", "mammut")
    ),
    DataSet(
        "olmo_1b",
        "hitchhiker",
        "curve",
        "learning curve of one model to 3e12 tokens, schedule unfinished at each point",
        thinned(
            "curves",
            "loss",
            "source_id = 'hitchhiker' and study = 'olmo' and eval_set = 'v3-small-c4_en-validation'",
            20,
        ),
        "nats per token, C4",
    ),
    DataSet(
        "amber_7b",
        "hitchhiker",
        "curve",
        "learning curve of one model, schedule unfinished at each point",
        thinned(
            "curves", "ln(loss)", "source_id = 'hitchhiker' and study = 'amber_7b' and eval_set = 'average per doc'", 20
        ),
        "log perplexity, mean over documents of the Pile",
    ),
    DataSet(
        "k2_65b",
        "hitchhiker",
        "curve",
        "learning curve of one model, training loss with its noise",
        thinned(
            "curves",
            "loss",
            "source_id = 'hitchhiker' and study = 'k2_65b' and metric = 'train_loss' and n_tokens > 1e9",
            20,
        ),
        "nats per token, training batches",
    ),
    DataSet(
        "gemstones_2b",
        "gemstones",
        "curve",
        "learning curve of one model at a constant learning rate",
        thinned(
            "curves", "loss", "source_id = 'gemstones' and family = 'hot' and eval_set = 'validation' and n > 2e9", 30
        ),
        "nats per token, held-out text",
    ),
    DataSet(
        "addition",
        "bnsl",
        "curve",
        "learning curve with a break: loss of four-digit addition against training examples",
        "select run_id, n_examples as x, n_examples as scale, loss from points "
        "where source_id = 'bnsl' and flag is null",
        "test cross-entropy",
        scale="training examples",
    ),
    *(
        DataSet(
            f"vision_{model.lower().replace('-', '_')}_{task}",
            "hitchhiker",
            "curve",
            "learning curve of few-shot error against pretraining examples",
            VISION.format(model, task),
            f"few-shot error rate, {task}",
            scale="pretraining examples",
        )
        for model, task in (("BiT-50-1", "inet"), ("ViT-S-16", "cal"), ("MiX-B-16", "bird"), ("ViT-B-16", "c"))
    ),
    # ---- repeated data ---------------------------------------------------------------------------------
    DataSet(
        "repeated_c4",
        "datablations",
        "repeated",
        "repeated data: 1 to 60 epochs, final losses; runs of more epochs overfit",
        REPEATED.format("datablations", "family = 'c4' and n_epochs <= 60"),
        "nats per token, C4 validation; total N",
        axes=("scale", "n_epochs"),
    ),
    DataSet(
        "repeated_oscar",
        "hitchhiker",
        "repeated",
        "repeated data: 1 to 44 epochs of OSCAR at three sizes, final losses",
        REPEATED.format("hitchhiker", "eval_set = 'oscar'"),
        "nats per token, OSCAR validation; total N by name",
        axes=("scale", "n_epochs"),
    ),
    *(
        DataSet(
            f"repeated_{corpus}_curves",
            "hitchhiker",
            "repeated",
            f"repeated data: checkpoints of 1 to 44 epochs of {corpus.upper()} at three sizes",
            REPEATED_CURVES.format(corpus),
            f"nats per token, {corpus.upper()} validation; total N by name",
            axes=("scale", "n_epochs"),
        )
        for corpus in ("c4", "oscar")
    ),
    # ---- something else about the model ------------------------------------------------------------------
    *(
        DataSet(
            f"parscale_{corpus}",
            "parscale",
            "architecture",
            "parallel streams: six sizes with 1 to 8 streams, equal tokens",
            STREAMS.format(corpus),
            "nats per token, training loss; N without embeddings",
            scale="forward compute: parameters times streams times tokens, FLOP",
        )
        for corpus in ("stack_v2_python", "pile")
    ),
    *(
        DataSet(
            f"routed_{router.replace('-', '_')}",
            "routed_lm",
            "architecture",
            "mixture of experts: six dense sizes with 1 to 512 experts, equal tokens",
            ROUTED.format(router),
            "nats per token, MassiveText; N of the dense model",
            scale="compute of the dense model, FLOP",
        )
        for router in ("s-base", "rl-r", "hash")
    ),
    DataSet(
        "upcycled_moe",
        "moe_sparsity",
        "architecture",
        "mixture of experts, upcycled: active parameters, experts and tokens vary",
        """
        select p.run_id, p.n_params_active as n_params, p.n_tokens, r.n_experts,
            6 * p.n_params_active * p.n_tokens as scale, p.loss
        from points p join runs r using (run_id) where p.source_id = 'moe_sparsity' and p.flag is null
        """,
        "nats per token; active N",
    ),
    DataSet(
        "distilled",
        "distillation_scaling",
        "architecture",
        "students of several teachers: what the teacher adds is no input of any law here",
        points("distillation_scaling", "true"),
        "nats per token; total N",
        axes=RATIO,
    ),
    DataSet(
        "vocabulary",
        "vocab_scaling",
        "architecture",
        "vocabulary: ten sizes of it at six sizes of the rest; loss relative to a unigram model, negative",
        """
        select c.run_id, c.n_params_non_embedding as n_params, r.vocab_size * r.d_model as n_params_vocabulary,
            c.n_tokens, 6 * c.n_params * c.n_tokens as scale, c.loss
        from curves c join runs r using (run_id)
        where c.source_id = 'vocab_scaling' and c.flag is null
        qualify row_number() over (partition by c.run_id order by c.step desc) % 4 = 1
        """,
        "nats per token minus those of a unigram model",
        options={"objective": "huber"},
    ),
    # ---- downstream --------------------------------------------------------------------------------------
    DataSet(
        "olmo_hellaswag",
        "olmo_ladder",
        "score",
        "benchmark score of a ladder of models",
        SCORES.format(
            source="olmo_ladder",
            where="""s.task = 'hellaswag_val_rc' and s.metric = 'acc_norm'
                and s.run_id not in ('olmo_ladder/peteish7-medlr', 'olmo_ladder/peteish7')
                qualify row_number() over (partition by s.run_id order by s.n_tokens desc) = 1""",
        ),
        "accuracy, HellaSwag by likelihood",
        output="score",
        options={"objective": "mse"},
    ),
    *(
        DataSet(
            f"gadre_{corpus}_{task.split('_')[0]}",
            "gadre_overtraining",
            "score",
            "benchmark score of over-trained models",
            SCORES.format(
                source="gadre_overtraining",
                where=f"s.task = '{task}' and s.family = '{corpus}' and s.metric = 'acc'",
            ),
            f"accuracy, {task}",
            output="score",
            options={"objective": "mse"},
        )
        for corpus, task in (("redpajama", "hellaswag"), ("refinedweb", "arc_easy"), ("c4", "lambada_openai"))
    ),
    DataSet(
        "pythia_lambada_acc",
        "pythia_evals",
        "score",
        "benchmark score of checkpoints of eight models",
        SCORES.format(
            source="pythia_evals",
            where="s.family = 'pythia' and s.task = 'lambada_openai' and s.metric = 'acc' and s.n_shots = 0 "
            "and s.step > 1000",
        ),
        "accuracy, LAMBADA, zero-shot",
        output="score",
        options={"objective": "mse"},
    ),
    *(
        DataSet(
            f"openclip_{family.replace('-', '_')}",
            "openclip_scaling",
            "score",
            "zero-shot accuracy of vision-language models of several sizes and samples",
            f"""
            select e.run_id, r.n_params, r.n_samples_seen as n_tokens, r.train_flops as scale,
                log10(r.train_flops) as capability, e.value as score
            from evals e join runs r using (run_id)
            where e.source_id = 'openclip_scaling' and r.family = '{family}' and e.eval_set = 'imagenet1k'
                and e.metric = 'acc' and e.step is null and e.flag is null
            """,
            "accuracy, ImageNet",
            output="score",
            options={"objective": "mse"},
        )
        for family in ("laion-2b", "laion-400m")
    ),
    DataSet(
        "olmo_answer",
        "olmo_ladder",
        "score",
        "loss of the right answer, the first step of a prediction in two",
        points(
            "olmo_ladder",
            "eval_set = 'hellaswag_val_rc' and metric = 'answer_bits_per_byte' "
            "and run_id not in ('olmo_ladder/peteish7-medlr', 'olmo_ladder/peteish7')",
        ),
        "bits per byte of the right answer, HellaSwag",
    ),
)


def data_sets() -> pl.DataFrame:
    """Every data set of the arena: a row each.

    Returns
    -------
    DataFrame
        ``data_set, source_id, track, situation, what, scale, output, axes, is_grid``.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> sets = sdb.arena.data_sets()
    >>> sets.height >= 20, sorted(sets["track"].unique())
    (True, ['architecture', 'curve', 'repeated', 'score', 'surface'])
    """
    return pl.DataFrame(
        [
            {
                "data_set": one.id,
                "source_id": one.source_id,
                "track": one.track,
                "situation": one.situation,
                "what": one.what,
                "scale": one.scale,
                "output": one.output,
                "axes": list(one.axes),
                "is_grid": one.is_grid,
            }
            for one in DATA_SETS
        ]
    )
