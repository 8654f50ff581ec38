"""Judging: which rows are held out, how good a prediction of them is, and which differences are more than noise.

`holdouts` says which rows are fitted and which are predicted (public as ``sdb.holdouts``), `fitting` fits the one
side, `scores` judges predictions and their intervals on the other, `resampling` draws runs, groups or sources again
for all laws together and turns draws into intervals, `words` says what came of it.
"""
