"""What stands between the tables of reports/coverage.md."""

TEXT = """\
# What an interval of few seeds holds

Computed by `make coverage`: no runs, distributions like those of our figures, whose truth is \
known. {draws:,} draws a cell ({draws_of_others:,} for what was tried instead); one standard \
error of a cell near 95 % is {error:.1%}. reports/gate-calibration.md does the same with \
simulated runs.

## The rule

`marsbench compare`, `marsbench gate`, the capacity search and reports use one rule. The sample \
is the seed, both sides paired. The interval is that of the **typical seed**: the median over \
seeds of a figure, of the paired differences or of the paired ratios. It reaches from the \
(k + 1)th lowest to the (k + 1)th highest seed. A seed lies above the median as often as below, \
so k follows from a binomial distribution: the largest with which the interval misses in at most \
5 % of cases, whatever the figure's distribution (the sign test). k is how many seeds may say \
otherwise.

A backend is *better* or *worse* when the whole interval lies on one side of "no difference" and \
the means lie on the same side. Below {fewest} seeds there is no interval and no verdict, \
whatever the seeds say: five agree by chance in 6 % of cases. A gate asks 95 % of each bound \
instead of 95 % of both together.

{rule}

Seeds are counted, so an interval cannot hold just any share of cases: at 8 seeds it is 99.2 % \
or 93.0 %, with nothing between, and it takes what is not below 95 %. **6, 9, 12, 17 and 20 \
seeds** waste least: 95 % to 97 %. More than the rule says is held where values repeat (shares \
of 24 sessions, counts), never less.

## What it holds

How often the interval held the truth, in per cent; – where none is given. "By theory" is what \
any distribution without repeated values must give. The lowest cell is {lowest}.

{ours}

Percentiles are of one run each: P99 of 24 sessions is all but their maximum, and varies as it \
likes between seeds. A percentile of the sessions of all seeds together (TTFT by round) has no \
interval and gets no verdict. An interval on a curve is of one α, not of the whole curve.

## What was tried instead

Lowest and highest share of cases held over all of the distributions above, in per cent, by \
number of seeds; each interval by the truth that it is meant for. From no number of seeds that we \
can afford does one of them hold 94 % to 96 % on all: where one seed in five tips over, few seeds \
often show none, and a mean's interval cannot know. Logarithms mend skewness and not that. Signed \
ranks come nearest, but take the changes for symmetric and have no answer to shares and counts. \
Interpolating between two seeds fails where the median lies in a gap. So no interval of a mean, \
of a difference of means or of a ratio of means is given anywhere.

{others}

## When nothing differs

How often a side is called better or worse although each pair was turned round by a coin, in per \
cent, lowest and highest over the distributions. It should be 5 at most, give or take {noise:.1%} \
for the number of draws.

{said}

## When something does

How often a side is called lower whose seeds take this ratio of the other's time, give or take, \
by number of seeds.

{found}

## Each distribution

{each}
"""
