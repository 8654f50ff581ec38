"""Gemstones' stored fits, 2502.06857: reached again from the checkpoints, or not."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy.spatial import ConvexHull

from scalingdb.errors import FitWarning
from scalingdb.evidence.replication._core import Figure, replication, untestable
from scalingdb.evidence.replication._printed import printed
from scalingdb.fits import Fit, fit
from scalingdb.law_library import Law, fixed, get_law

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_VOCABULARY = 50_304
_CONTEXT = 2048
_HEAD = 128

_APPROACH_1 = {
    "params": ("-2.845108", "0.499380"),
    "params_100b+": ("-1.025860", "0.457903"),
    "params_100b+_no_embeds": ("-6.504685", "0.568932"),
    "params_120b+_only": ("-18.042170", "0.798672"),
    "params_120b+_only_no_embeds": ("-26.395910", "0.966590"),
    "params_cooldown": ("-7.522192", "0.596981"),
    "params_cooldown_no_embeds": ("-13.706863", "0.724154"),
    "params_lr_ablation": ("-3.568844", "0.513128"),
    "params_lr_ablation_no_embeds": ("-8.957851", "0.622387"),
    "params_no_embeds": ("-9.044791", "0.626863"),
    "tokens": ("1.896321", "0.480989"),
    "tokens_100b+": ("-0.029521", "0.524899"),
    "tokens_100b+_no_embeds": ("-0.029521", "0.524899"),
    "tokens_120b+_only": ("17.065588", "0.182843"),
    "tokens_120b+_only_no_embeds": ("17.065588", "0.182843"),
    "tokens_cooldown": ("6.103985", "0.393260"),
    "tokens_cooldown_no_embeds": ("6.103985", "0.393260"),
    "tokens_lr_ablation": ("1.794942", "0.485794"),
    "tokens_lr_ablation_no_embeds": ("1.794942", "0.485794"),
    "tokens_no_embeds": ("1.896321", "0.480989"),
    "tokens_per_param": ("4.741429", "-0.018391"),
    "tokens_per_param_100b+": ("0.996340", "0.066996"),
    "tokens_per_param_cooldown": ("13.626177", "-0.203721"),
    "tokens_per_param_lr_ablation": ("5.363786", "-0.027333"),
}
"""Intercept and slope of each stored line, natural logarithms, six digits of the sixteen in the release."""

_APPROACH_3 = {
    "delta_1e-3/parameters/cool_begin": 0.0019515326,
    "delta_1e-3/parameters/cool_begin_no_embeds": 0.0017125887,
    "delta_1e-3/parameters/cool_end": 0.0019640865,
    "delta_1e-3/parameters/cool_end_no_embeds": 0.001713242,
    "delta_1e-3/parameters/hot": 0.0019816129,
    "delta_1e-3/parameters/hot_100b+": 0.0065925344,
    "delta_1e-3/parameters/hot_100b+_512x": 7.92507e-05,
    "delta_1e-3/parameters/hot_100b+_no_embeds": 0.0053939495,
    "delta_1e-3/parameters/hot_120b+_only": 0.0038623994,
    "delta_1e-3/parameters/hot_120b+_only_no_embeds": 0.002912928,
    "delta_1e-3/parameters/hot_no_embeds": 0.0017466699,
    "delta_1e-3/parameters/hot_sampled_like_chinchilla": 0.0002173794,
    "delta_1e-3/parameters/lr_ablation_hot": 0.0019728624,
    "delta_1e-3/parameters/lr_ablation_hot_no_embeds": 0.0018048408,
    "delta_1e-3/parameters/lr_ablation_hot_sampled_like_chinchilla": 0.0002022731,
    "delta_1e-3/parameters/slim_chinchilla": 0.0001204363,
    "delta_1e-3/width_depth/hot_100b+": 0.0038782174,
    "delta_1e-3/width_depth_parameters/cool_end": 0.0008107426,
    "delta_1e-3/width_depth_parameters/hot_100b+": 0.0026427674,
    "delta_1e-3/width_depth_parameters/lr_ablation_hot": 0.0010089106,
    "delta_1e-4/parameters/cool_begin": 0.0002035445,
    "delta_1e-4/parameters/cool_begin_no_embeds": 0.0001795024,
    "delta_1e-4/parameters/cool_end": 0.0002059406,
    "delta_1e-4/parameters/cool_end_no_embeds": 0.0001799117,
    "delta_1e-4/parameters/hot": 0.0002076018,
    "delta_1e-4/parameters/hot_100b+": 0.00069233,
    "delta_1e-4/parameters/hot_100b+_512x": 1.67819e-05,
    "delta_1e-4/parameters/hot_100b+_no_embeds": 0.0005719375,
    "delta_1e-4/parameters/hot_120b+_only": 0.0004080789,
    "delta_1e-4/parameters/hot_120b+_only_no_embeds": 0.0003126897,
    "delta_1e-4/parameters/hot_no_embeds": 0.0001838567,
    "delta_1e-4/parameters/hot_sampled_like_chinchilla": 2.25732e-05,
    "delta_1e-4/parameters/lr_ablation_hot": 0.0002059023,
    "delta_1e-4/parameters/lr_ablation_hot_no_embeds": 0.0001889824,
    "delta_1e-4/parameters/lr_ablation_hot_sampled_like_chinchilla": 2.11338e-05,
    "delta_1e-4/parameters/slim_chinchilla": 1.33978e-05,
    "delta_1e-4/width_depth/hot_100b+": 0.0004199462,
    "delta_1e-4/width_depth_parameters/cool_end": 9.00742e-05,
    "delta_1e-4/width_depth_parameters/hot": 0.000111878,
    "delta_1e-4/width_depth_parameters/hot_100b+": 0.0002949708,
    "delta_1e-4/width_depth_parameters/hot_120b+_only": 8.92444e-05,
    "delta_1e-4/width_depth_parameters/lr_ablation_hot": 0.0001102575,
}
"""Stored objective of every grid search: Huber delta, inputs of the law, table of the release."""

_SAMPLED = {(1280, 15): (3, 6, 12, 24), (1792, 18): (1, 2, 4, 8, 16), (2048, 27): (4, 8, 12, 16, 24, 41, 62)} | {
    (384, 13): (2, 3, 6, 13),
    (512, 13): (2, 4, 6, 7),
}
"""Checkpoints (in steps of 477) of each width and depth in the tables that imitate Chinchilla's sampling."""


def _checkpoints(db: Warehouse) -> pl.DataFrame:
    """Every validation loss with its shape; `branch` is 0 at the start of a cooldown and 1 at its end."""
    return db.sql("""
        select c.run_id, c.family, c.n_params, runs.n_params_with_head, c.n_params_non_embedding,
            runs.d_model, runs.n_layers, c.n_tokens, c.step, c.loss,
            (row_number() over (partition by c.run_id order by c.step) - 1)::int as branch
        from curves c join runs using (run_id)
        where c.source_id = 'gemstones' and (c.eval_set = 'validation' or c.family = 'chinchilla_extract')
        order by c.run_id, c.step
    """)


def _tables(checkpoints: pl.DataFrame, *, dense: bool = False) -> dict[str, pl.DataFrame]:
    """Tables of the release by name: every 1e10 tokens, or, where `dense`, every 2e9."""
    step = pl.col("step")
    # one checkpoint of the ablation was stored ten steps early
    thinned = pl.lit(value=True) if dense else (step % 2385 == 0) | (step == 23_840)
    hot = checkpoints.filter(pl.col("family") == "hot")
    ablation = checkpoints.filter(pl.col("family") == "lr_ablation")
    cooldown = checkpoints.filter(pl.col("family") == "cooldown")
    sampled = pl.DataFrame(
        [(float(width), float(depth), 477.0 * k) for (width, depth), steps in _SAMPLED.items() for k in steps],
        schema=["d_model", "n_layers", "step"],
        orient="row",
    )
    rounded = (pl.col("n_tokens") / 1e9).round() * 1e9  # these two tables store tokens in full billions
    return {
        "hot": hot.filter(thinned, pl.col("n_tokens") < 1.005e11),
        "hot_100b+": hot.filter(thinned),
        "hot_120b+_only": hot.filter(thinned, pl.col("n_tokens") > 1.19e11),
        "hot_100b+_512x": hot.filter(thinned, pl.col("d_model") == 512),
        "lr_ablation_hot": ablation.filter(thinned),
        "cool_begin": cooldown.filter(pl.col("branch") == 0),
        "cool_end": cooldown.filter(pl.col("branch") == 1),
        "hot_sampled_like_chinchilla": hot.join(sampled, on=sampled.columns, how="semi").with_columns(rounded),
        "lr_ablation_hot_sampled_like_chinchilla": ablation.join(sampled, on=sampled.columns, how="semi").with_columns(
            rounded
        ),
        "slim_chinchilla": checkpoints.filter(pl.col("family") == "chinchilla_extract"),
    }


# ---- approach 1: lines through the lower hull ------------------------------------------------------------------------


def _with_flops(checkpoints: pl.DataFrame) -> pl.DataFrame:
    """Training FLOP by the authors' count.

    Per token and layer: projections 12 w^2, attention over the context 10.5 s w (1 + 1 / head size),
    mixing of heads 6 w^2, gated feed-forward 72 w^2, norms and rotations; then the output matrix.
    """
    width, layers = pl.col("d_model"), pl.col("n_layers")
    linear = 183.75 + 3.5 * _CONTEXT * (3 + 3 / _HEAD)
    per_token = layers * (90 * width**2 + linear * width) + 21 * width + 6 * _VOCABULARY * width
    return checkpoints.with_columns(train_flops=per_token * pl.col("n_tokens"))


def _lower_hull(rows: pl.DataFrame) -> pl.DataFrame:
    """Checkpoints on the lower edge of the convex hull of log FLOP and log loss, losses falling."""
    points = rows.select(pl.col("train_flops", "loss").log()).to_numpy()
    above = points.max(axis=0) + np.log(2)
    corners = ConvexHull(np.vstack([points, above])).vertices
    hull = rows[sorted(int(i) for i in corners if i < len(points))].sort("train_flops")
    return hull.filter(pl.col("loss").diff().fill_null(-1) < 0)


@replication(
    *(
        Figure(
            key=f"{name}/{part}",
            statement=(
                f"{part.capitalize()} of ln optimal {name} on ln training FLOP, through the checkpoints' lower hull"
            ),
            place=f"release, parameters/approach_1_linear_regression_{name}.json",
            origin="release",
            claim_id=f"2502.06857/approach_1/{name}/{part}",
            **printed(value),
        )
        for name, values in _APPROACH_1.items()
        for part, value in zip(("intercept", "slope"), values, strict=True)
    )
)
def approach_1(db: Warehouse) -> dict[str, float]:
    """Lines through the compute-optimal checkpoints, with the authors' FLOP."""
    tables = _tables(_with_flops(_checkpoints(db)), dense=True)
    chosen = {
        "": "hot",
        "_100b+": "hot_100b+",
        "_120b+_only": "hot_120b+_only",
        "_cooldown": "cool_end",
        "_lr_ablation": "lr_ablation_hot",
    }
    hulls = {suffix: _lower_hull(tables[table]) for suffix, table in chosen.items()}
    ours: dict[str, float] = {}
    for name in _APPROACH_1:
        quantity, suffix = next(
            (quantity, name.removeprefix(quantity))
            for quantity in ("tokens_per_param", "tokens", "params")
            if name.startswith(quantity)
        )
        hull = hulls[suffix.removesuffix("_no_embeds")]
        params = pl.col("n_params_non_embedding" if suffix.endswith("_no_embeds") else "n_params")
        y = {"params": params, "tokens": pl.col("n_tokens"), "tokens_per_param": pl.col("n_tokens") / params}[quantity]
        slope, intercept = np.polyfit(
            hull["train_flops"].log().to_numpy(), hull.select(y.log()).to_series().to_numpy(), 1
        )
        ours |= {f"{name}/intercept": float(intercept), f"{name}/slope": float(slope)}
    return ours


# ---- approach 3: sums of powers --------------------------------------------------------------------------------------

_SHORT = {
    "delta_1e-3/parameters/hot_100b+_512x": "",
    "delta_1e-4/parameters/hot_100b+_512x": "",
    "delta_1e-4/parameters/cool_end": "The better optimum has beta 0.59 and not 0.69.",
    "delta_1e-4/parameters/cool_end_no_embeds": "The better optimum has beta 0.64 and not 0.69.",
    "delta_1e-4/parameters/hot": "The better optimum has beta 0.73 and not 0.69.",
    "delta_1e-4/parameters/lr_ablation_hot": "The better optimum has beta 0.65 and not 0.68.",
    "delta_1e-4/parameters/lr_ablation_hot_no_embeds": "The better optimum has beta 0.65 and not 0.68.",
    "delta_1e-4/parameters/lr_ablation_hot_sampled_like_chinchilla": "",
    "delta_1e-4/parameters/slim_chinchilla": "",
    "delta_1e-4/width_depth_parameters/cool_end": "",
    "delta_1e-4/width_depth_parameters/hot": "",
    "delta_1e-4/width_depth_parameters/hot_100b+": "",
    "delta_1e-4/width_depth_parameters/hot_120b+_only": "",
    "delta_1e-4/width_depth_parameters/lr_ablation_hot": "",
}
"""Stored searches that ended above the least, and what the optimum changes."""

_STOPPED = (
    "The stored search stopped short. With a Huber delta of 1e-4 the whole objective is some 1e-4, and its gradient "
    "falls under the optimiser's default tolerances before the optimum."
)
_NARROW = (
    "Five depths of one width span too few sizes to fix alpha (ours is 4.5 to 4.9); the search stopped on its way."
)


def _short(name: str) -> str:
    if name not in _SHORT:
        return ""
    return f"{_NARROW if '512x' in name else _STOPPED} {_SHORT[name]}".strip()


def _file(name: str) -> str:
    delta, form, table = name.split("/")
    return f"release, parameters_{delta.replace('_1e', '')}/approach_3_{form}_grid_search_0_{table}.json"


def _shape_law() -> Law:
    """Powers of width, depth, parameters and tokens, and a floor; depth stands in the place of `n_examples`."""
    return get_law("chinchilla") + fixed(get_law("width_inverse"), L_0=0.0) + get_law("m1")


def _parts(name: str) -> tuple[float, str, str, str]:
    """Huber delta, form of the law, table, and column for the size."""
    delta, form, table = name.split("/")
    base = table.removesuffix("_no_embeds")
    return float(delta.removeprefix("delta_")), form, base, "n_params" if base == table else "n_params_with_head"


@functools.cache
def _law(form: str) -> Law:
    if form == "parameters":
        return get_law("chinchilla")
    if form == "width_depth":  # depth stands in the place of `n_params`
        return get_law("chinchilla") + fixed(get_law("width_inverse"), L_0=0.0)
    return _shape_law()


_INPUTS = {
    "parameters": ("n_params", "n_tokens"),
    "width_depth": ("d_model", "n_layers", "n_tokens"),
    "width_depth_parameters": ("d_model", "n_layers", "n_params", "n_tokens"),
}
"""Order of the inputs in the stored coefficients."""


def _named(form: str, stored: dict[str, float]) -> dict[str, float]:
    """Stored logarithms and exponents as parameters of our law."""
    scale = [float(np.exp(stored[f"coefficients_{i}"])) for i in range(len(_INPUTS[form]))]
    power = [stored[f"exponents_{i}"] for i in range(len(_INPUTS[form]))]
    names = {
        "parameters": ("A:alpha", "B:beta"),
        "width_depth": ("c:alpha_m", "A:alpha", "B:beta"),
        "width_depth_parameters": ("c:alpha_m", "beta_m1:c_m1", "A:alpha", "B:beta"),
    }[form]
    pairs = [pair.split(":") for pair in names]
    return (
        {"E": float(np.exp(stored["irreducible_error"]))}
        | {pair[0]: value for pair, value in zip(pairs, scale, strict=True)}
        | {pair[1]: value for pair, value in zip(pairs, power, strict=True)}
    )


def _refit(tables: dict[str, pl.DataFrame], name: str) -> Fit:
    delta, form, table, size = _parts(name)
    rows = tables[table].with_columns(n_params=size, n_examples="n_layers")
    if form == "width_depth":
        rows = rows.with_columns(n_params="n_layers")
    with warnings.catch_warnings():  # verdicts of flat fits are what the figures are about
        warnings.simplefilter("ignore", FitWarning)
        return fit(rows, _law(form), delta=delta, pool=True, by_run=False)


@replication(
    *(
        Figure(
            key=f"stored/{name}",
            statement=(
                f"Sum of Huber losses of '{name}' at its stored coefficients (which the rows therefore test together)"
            ),
            place=_file(name),
            stated=value,
            tolerance=5e-10 if "512x" in name else 2e-10,
            why="coefficients and objective are stored with ten decimals; several of them round together",
            origin="release",
            claim_id=f"2502.06857/approach_3/{name}/*",
        )
        for name, value in _APPROACH_3.items()
    ),
    *(
        Figure(
            key=f"excess/{name}",
            statement=f"How far the stored objective of '{name}' is above the least sum on the same rows",
            place=_file(name),
            low=-0.002,
            high=0.02,
            unit="percent",
            why=(
                "the stored search counts as converged within one part in five thousand of the least; it cannot be "
                "below it by more than the rounding of what is stored"
            ),
            origin="release",
            unless=_short(name),
        )
        for name in _APPROACH_3
    ),
)
def approach_3(db: Warehouse) -> dict[str, float]:
    """Every stored grid search: scored at its own coefficients, and beside the least sum."""
    tables = _tables(_checkpoints(db))
    claims: dict[str, dict[str, float]] = {}
    for claim, value in db.sql("""
        select claim_id, value from claims where claim_id like '2502.06857/approach_3/%'
    """).iter_rows():
        name, quantity = claim.removeprefix("2502.06857/approach_3/").rsplit("/", 1)
        claims.setdefault(name, {})[quantity] = value
    ours: dict[str, float] = {}
    for name, stored in claims.items():
        found = _refit(tables, name)
        at_stored = found.objective_at(_named(_parts(name)[1], stored))
        ours |= {f"stored/{name}": at_stored, f"excess/{name}": 100 * (at_stored / found.objective - 1)}
    return ours


_EARLIER = {
    "hot_100b+": {
        "alpha": "0.2577", "beta": "0.5895", "a": "4.878", "b": "12.67", "e": "0.6656", "objective": "0.00069233",
    },
    "hot_100b+_no_embeds": {
        "alpha": "0.2442", "beta": "0.6100", "a": "4.560", "b": "13.18", "e": "0.6702", "objective": "0.00057194",
    },
    "hot_120b+_only_no_embeds": {"alpha": "0.2328", "beta": "0.6540"},
    "cool_end": {"beta": "0.586", "objective": "0.00020478"},
}  # fmt: skip
_HEADLINE = {
    "hot_100b+": {"alpha": 0.25755, "beta": 0.59093, "a": 4.8762, "b": 12.698, "e": 0.66552},
    "hot_100b+_no_embeds": {"alpha": 0.24422, "beta": 0.60992, "a": 4.5602, "b": 13.180, "e": 0.67019},
    "hot_120b+_only_no_embeds": {"alpha": 0.2326, "beta": 0.6452},
    "cool_end": {"beta": 0.690},
}
_WIDTH = {"alpha": 3e-4, "beta": 0.01, "a": 0.003, "b": 0.05, "e": 3e-4}
"""How far a parameter moves where the sum is within one part in a hundred thousand of its least."""


@replication(
    *(
        Figure(
            key=f"earlier/{table}/{quantity}",
            statement=f"{quantity} of Chinchilla's law at the least sum on '{table}' (delta 1e-4; a, b, e are logs)",
            place=f"recomputed from the rows of wandb_df_for_fitting_{table.removesuffix('_no_embeds')}.jsonl",
            origin="own",
            **printed(value),
        )
        for table, values in _EARLIER.items()
        for quantity, value in values.items()
    ),
    *(
        Figure(
            key=f"stored/{table}/{quantity}",
            statement=f"{quantity} of Chinchilla's law as stored for '{table}' (Huber delta 1e-4; a, b, e are logs)",
            place=f"release, parameters_delta-4/approach_3_parameters_grid_search_0_{table}.json",
            stated=value,
            tolerance=_WIDTH[quantity],
            why="the sum is flat: parameters this far off cost one part in a hundred thousand of it",
            origin="release",
            unless=_short(f"delta_1e-4/parameters/{table}"),
        )
        for table, values in _HEADLINE.items()
        for quantity, value in values.items()
    ),
    Figure(
        key="lowest_beta",
        statement="Smallest exponent of tokens among the tables of all shapes, each at its least sum (delta 1e-4)",
        place="recomputed from the released tables",
        origin="own",
        **printed("0.59"),
    ),
    Figure(
        key="highest_beta",
        statement="Largest exponent of tokens among the tables of all shapes, each at its least sum (delta 1e-4)",
        place="recomputed from the released tables",
        origin="own",
        **printed("0.73"),
    ),
)
def headline(db: Warehouse) -> dict[str, float]:
    """The fits that the paper shows, to the digits stated."""
    tables = _tables(_checkpoints(db))
    whole = ("hot", "hot_100b+", "hot_120b+_only", "cool_begin", "cool_end", "lr_ablation_hot")
    names = {*whole, *_EARLIER}
    fits = {table: _refit(tables, f"delta_1e-4/parameters/{table}") for table in sorted(names)}
    ours: dict[str, float] = {}
    for whose, values in (("earlier", _EARLIER), ("stored", _HEADLINE)):
        for table, quantities in values.items():
            found = fits[table]
            logs = {short: float(np.log(found.params[name])) for short, name in zip("abe", "ABE", strict=True)}
            known = {**found.params, **logs, "objective": found.objective}
            ours |= {f"{whose}/{table}/{quantity}": known[quantity] for quantity in quantities}
    betas = [fits[table].params["beta"] for table in whole]
    return ours | {"lowest_beta": min(betas), "highest_beta": max(betas)}


@replication(
    *(
        Figure(
            key=source,
            statement=f"Exponents of size and of tokens are equal: by how many standard errors they differ, {what}",
            place="abstract of arXiv:2102.06701",
            high=1.96,
            why="equal within the 95 % interval of their difference",
            claim_id="2102.06701/2",
            choice=(
                "The duality is read as alpha = beta of Chinchilla's law; with a tenth of their value as the "
                "interval's half width, the test has little power."
                if not unless
                else ""
            ),
            unless=unless,
        )
        for source, what, unless in (
            ("epoch_chinchilla", "Chinchilla's points", ""),
            ("farseer", "Farseer's runs", ""),
            (
                "gemstones",
                "checkpoints of Gemstones at a constant rate",
                "Here tokens have more than twice the exponent of size. These are checkpoints along one run at a "
                "constant learning rate and not runs trained to the end, so that tokens also stand for the optimiser's "
                "progress.",
            ),
        )
    ),
)
def duality(db: Warehouse) -> dict[str, float]:
    """The exponents of Chinchilla's law on three sources."""
    rows = {
        "epoch_chinchilla": db.sql("""
            select run_id, n as n_params, n_tokens, loss from points
            where source_id = 'epoch_chinchilla' and flag is null
        """),
        "farseer": db.sql("""
            select run_id, n as n_params, n_tokens, loss from points
            where source_id = 'farseer' and metric = 'bits_per_character' and flag is null
        """),
        "gemstones": _tables(_checkpoints(db))["hot_100b+"],
    }
    ours: dict[str, float] = {}
    for source, frame in rows.items():
        found = fit(frame, "chinchilla", bootstrap=400, pool=True)
        column = dict(zip(found.params, found.samples.T, strict=True))
        spread = float(np.nanstd(column["alpha"] - column["beta"]))
        ours[source] = abs(found.params["alpha"] - found.params["beta"]) / spread
    return ours


superposition = untestable(
    "gemstones.superposition",
    Figure(
        key="exponent",
        statement="Under strong superposition loss falls as the first power of width, whatever the feature frequencies",
        place="abstract of arXiv:2505.10465",
        stated=1.0,
        tolerance=0.1,
        why="the first power, to a tenth",
        claim_id="2505.10465/1",
    ),
    because=(
        "The claim is about toy models whose superposition and feature frequencies are set. Of the Gemstones neither "
        "is known, and width varies with depth and parameters, so that their exponent of width answers another "
        "question; needed are the toy models' losses, or models of several widths with everything else fixed."
    ),
)
