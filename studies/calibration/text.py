"""The page around the tables."""

TEXT = """\
# How often the gate is wrong

Computed by `make gate-calibration` from simulated runs, code {code}:

{pools}

Each row below is {draws:,} draws of so many seeds, with replacement, each judged by `marsbench \
gate` at {confidence:.0%} (one-sided). Brackets are Wilson intervals at 95 % of the draws alone: \
the pool itself is a sample too, and what that leaves open is a column of the second table.

**Every regression was run**: the same sessions under the same policy with a worse parameter, \
which the first column names. Nothing is scaled, so each has the size that it has, and scatters \
as it does. `{harmless}` are runs in which every step takes 0.1 % longer: each instant differs, \
and no figure does.

## What changed

The true change of each figure is that of the whole pool: of its mean, and of its typical seed \
(the median), which is what the gate judges. "Per seed" is the deviation of one seed's paired \
change, and unpaired that of the figure itself between seeds.

{changes}

## Which number of seeds

A number of seeds is enough to find a regression when at most {false_fails:.0%} of the draws in \
which nothing changed fail, by the upper end of the interval, and at least {caught_share:.0%} of \
those in which it was made do, by its lower end, and so for every larger number that was tried \
(up to {most}). Draws of other seeds are left out: the gate pairs. Where none that was tried is \
enough, the share of the pool's seeds that got worse by more than the margin says how many it \
would take; where that is half of them or fewer, no number is enough: the mean alone keeps the \
gate from passing, and it is inconclusive.

The last columns are the pool's own doubt: how many of its seeds lie beyond the margin, and the \
change of the one that changed least. Of all seeds that there are, the share beyond may be as low \
as the lower end of Wilson's interval at 95 %, whatever their scatter looks like, and then {eight} \
seeds would find the regression that often. Figures that the parameter moves by no more than the \
margin are left out here and below; the CSV has them.

{enough}

## When nothing changed

The share of draws that fail although nothing did, which should be at most 5 %: the largest over \
{sizes} seeds. Three ways for nothing to change: every step takes 0.1 % longer; base and \
regression side by side, each pair turned round by a coin, which is noisier than any pair of \
versions ought to be; and other seeds on the other side, which is what a gate without pairing \
would have to live with. An unchanged simulator gives the same bytes, so it cannot fail at all \
(`--exact`). What does not fail ought to pass: the last column says in how many of the draws of \
{eight} seeds the first does.

{null}

## When something did

The share of draws that fail. The rest is inconclusive, which a pipeline does not let through \
either, or passes, which is the last column: the most over these numbers of seeds.

{caught}

## What the interval holds

How often a two-sided interval of 90 % held the pool's true change under the regression. The \
gate's is of the typical seed: the median change, between two of the seeds (reports/coverage.md). \
The others are of the ratio of means: its linearised variance with Student's t, which was the \
gate's in 0.1.0, and a percentile bootstrap, which was that of `marsbench compare`.

{coverage}
"""
