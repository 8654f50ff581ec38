"""The fit engine: arrays in, arrays out. It knows no frame and no law by name.

`model` compiles a formula and its exact derivatives, `objectives` defines what is minimised,
`starts` finds where to begin, `solver` minimises many problems at once, `uncertainty` resamples
and propagates, `identifiability` says what the data cannot fix.
"""
