"""From a frame to a fit and back: `fit`, `fit_by`, and what they return.

`_rows` checks a frame and takes arrays from it, `_form` compiles a law with its fixed and tied
parameters, `_solve` hands both to :mod:`scalingdb.estimation`, `_result` holds the answer,
`_facts` its recipe and verdict, `_profile` and `_storage` are what one can ask of it later, `_many`
solves groups together.
"""

from __future__ import annotations

from scalingdb.fits._elsewhere import answers_of
from scalingdb.fits._estimate import natural
from scalingdb.fits._facts import Reason, Recipe, Verdict
from scalingdb.fits._form import evaluate_law
from scalingdb.fits._joint import JointFit
from scalingdb.fits._law_error import drift_of, log_positions, with_law_error
from scalingdb.fits._many import Fits, fit_by
from scalingdb.fits._predict import checked as checked_inputs
from scalingdb.fits._problem import N_STARTS
from scalingdb.fits._propagate import optimal
from scalingdb.fits._result import Fit
from scalingdb.fits._rows import as_frame, refuse_bad_values
from scalingdb.fits._solve import fit
from scalingdb.fits._tables import UNCERTAIN, how_intervals_were_made
from scalingdb.fits._trial import nearby, suited

__all__ = [
    "N_STARTS",
    "UNCERTAIN",
    "Fit",
    "Fits",
    "JointFit",
    "Reason",
    "Recipe",
    "Verdict",
    "answers_of",
    "as_frame",
    "checked_inputs",
    "drift_of",
    "evaluate_law",
    "fit",
    "fit_by",
    "how_intervals_were_made",
    "log_positions",
    "natural",
    "nearby",
    "optimal",
    "refuse_bad_values",
    "suited",
    "with_law_error",
]
