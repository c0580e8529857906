"""An advice in sentences: what to take, how sure that is, and what it depends on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from marsbench.advise.advise import Advice
from marsbench.advise.gpus import SHARE, TOLERANCE, Carried
from marsbench.advise.traffic import TODAY, TWICE, Traffic, UserLoad
from marsbench.advise.verdict import FCFS, TTFT, AtLoad
from marsbench.judge.compare import Difference, Figure
from marsbench.judge.compare.figures import LATENCY
from marsbench.judge.compare.show import beside, value_in_words
from marsbench.judge.intervals import fewest
from marsbench.judge.sweep.answer import gpus_in_words
from marsbench.text.numbers import count, fixed, percent, short
from marsbench.text.words import listed

FEWEST_SESSIONS = 30
"""Fewer recorded sessions are a first look: a share of them moves by 3 points with each."""
MAP_BORDER = 0.81
"""CPU seconds that tools ask for a second, per core: below it InferCept has the higher goodput(3)
or the lower latency of the two in most worlds of reports/map.md, above it MARS."""


def plan(traffic: Traffic, backends: Sequence[str], seeds: int) -> str:
    """What is going to be played, for whoever waits."""
    today = traffic.loads[0]
    tp = traffic.hardware.tensor_parallel
    where = ("" if traffic.gpus == 1 else "each of ") + gpus_in_words(traffic.gpus, tp)
    each = f"{count(seeds, 'seed')} of {count(traffic.sessions, 'session')}"
    return (
        f"With {count(today.users, 'user')} like the recorded ones {today.rate:.3g} sessions a "
        f"second begin on {where}. {listed([FCFS, *backends])} meet them at that rate and at twice "
        f"that, {each} each, a cell a run; then a search finds what one {_unit(tp)} carries."
    )


def _unit(tp: int) -> str:
    """What has the model once."""
    return "GPU" if tp == 1 else f"group of {tp} GPUs"


def summary(advice: Advice) -> str:
    """The answer: what to take, what that is worth, how many GPUs."""
    worth = (_worth(advice, at) for at in (advice.verdict.today, advice.verdict.twice))
    return " ".join((_choice(advice), *worth, *_gpus(advice)))


def users_at(advice: Advice, name: str) -> str:
    """ "20 users"."""
    return count(load_of(advice, name).users, "user")


def load_of(advice: Advice, name: str) -> UserLoad:
    return next(one for one in advice.traffic.loads if one.name == name)


def _choice(advice: Advice) -> str:
    found = advice.verdict
    today, twice = users_at(advice, TODAY), users_at(advice, TWICE)
    if not found.holds:
        return (
            f"It depends on the load: with {today} take {found.choice}, with {twice} "
            f"{found.twice.level[0]}; nobody is best or level with the best at both."
        )
    if found.choice == FCFS:
        return (
            f"Stay with fcfs, vLLM's own: with {today} and with {twice} it is best, or within "
            f"5 points of {found.good.label} and 5% of mean latency of the best."
        )
    return f"Take {found.choice}: with {today} and with {twice} it is best or level with the best."


def _worth(advice: Advice, at: AtLoad) -> str:
    """What the choice reaches there, and against fcfs."""
    choice, good = advice.verdict.choice, advice.verdict.good
    row, users = at.row(choice), users_at(advice, at.name)
    told = ", ".join(
        f"{figure.label} {value_in_words(figure, row.mean(figure))}{' s' if figure.unit else ''}"
        f"{_beside(row.against.get(figure))}"
        for figure in (good, LATENCY, TTFT)
    )
    return f"With {users}: {told}."


def _beside(against: Difference | None) -> str:
    """ " (+5.0 pts (0.0 to +8.0) to fcfs)", " (0.45× to fcfs)"."""
    return "" if against is None else f" ({beside(against)[1]} to {against.baseline})"


def _gpus(advice: Advice) -> Iterator[str]:
    best = next(one for one in advice.carried if one.backend == advice.verdict.choice)
    others = [one for one in advice.carried if one.backend != advice.verdict.choice]
    told = [_carries(advice, one) for one in (best, *others)]
    tp = advice.traffic.hardware.tensor_parallel
    yield f"One {_unit(tp)} carries {' and '.join(told)}, with {_goal(advice)}."
    users = users_at(advice, TODAY)
    found = [one for one in advice.carried if one.gpus]
    needs = [f"{gpus_in_words(one.gpus, tp)} under {one.backend}" for one in found]
    if needs:
        yield (
            f"{users.capitalize()} need {listed(needs)}; the {'GPUs' if tp == 1 else 'groups'} are "
            "independent here, each with users of its own, and nothing is said of what a router "
            "adds or takes."
        )


def _goal(advice: Advice) -> str:
    return f"{percent(SHARE)} of sessions within {advice.verdict.good.alpha:g} times alone"


def _carries(advice: Advice, one: Carried) -> str:
    if one.rate is None or one.users is None:
        return f"not even {short(one.above)} sessions/s under {one.backend}"
    least = "at least " if one.above is None else ""
    users = fixed(one.users, 0 if one.users >= 10 else 1)
    return f"{least}{users} users under {one.backend} ({one.rate:.3g} sessions/s)"


def sureness(advice: Advice) -> str:
    """What the seeds say, and what they cannot."""
    return " ".join((*_seeds(advice), _sample(advice)))


def _seeds(advice: Advice) -> Iterator[str]:
    if advice.seeds < fewest():
        have = "1 seed makes" if advice.seeds == 1 else f"{advice.seeds} seeds make"
        yield f"{have} nothing of it sure: give --seeds {fewest()} or more."
        return
    found = advice.verdict
    if found.choice == FCFS:
        yield f"Over {advice.seeds} seeds, at 95%: {listed(list(_ahead_of_fcfs(advice)))}."
        return
    for at in (found.today, found.twice):
        against = at.row(found.choice).against
        told = [f"{f.label} {_standing(against[f])}" for f in found.figures if f in against]
        yield f"Against fcfs with {users_at(advice, at.name)}, at 95%: {', '.join(told)}."


def _standing(one: Difference) -> str:
    seeds = "" if one.ahead is None else f" ({one.ahead} of {one.seeds} seeds)"
    return f"{one.standing}{seeds}"


def _ahead_of_fcfs(advice: Advice) -> Iterator[str]:
    """Who is surely better than fcfs in what, small as that may be."""
    found, nobody = advice.verdict, True
    for at in (found.today, found.twice):
        for row in at.rows:
            better = [f.label for f, d in row.against.items() if d.standing == "better"]
            if better:
                nobody = False
                users = users_at(advice, at.name)
                yield f"{row.backend} is better than fcfs in {listed(better)} with {users}"
    if nobody:
        yield "nobody is surely better than fcfs in anything"


def _sample(advice: Advice) -> str:
    number = advice.traffic.recorded.num_recorded
    if number < FEWEST_SESSIONS:
        sessions = count(number, "recorded session")
        return (
            f"{sessions} {'is' if number == 1 else 'are'} too few to stand for anybody's traffic: "
            "every seed draws the same again, so intervals say nothing of sessions that nobody "
            f"recorded. Take this for a first look, and record {FEWEST_SESSIONS} or more."
        )
    return (
        f"All seeds draw from the same {number:,} recorded sessions: an interval says nothing of "
        "sessions unlike them."
    )


def depends(advice: Advice) -> list[str]:
    """What would turn the answer, a sentence each."""
    return [_users(advice), _load(advice), _pauses(advice), *_measures(advice), _tools(advice),
            _capacity(advice), *_left_out(advice), *_backends(advice)]  # fmt: skip


def _capacity(advice: Advice) -> str:
    return (
        f"Capacity: searched with poisson arrivals, {advice.traffic.sessions} sessions a run and "
        f"to within {percent(TOLERANCE)}; a longer run (--sessions) may well give less."
    )


def _users(advice: Advice) -> str:
    busy = advice.traffic.busy
    each = f"{busy.per_user_s * 3600:.3g} sessions an hour"
    if busy.num_days is None:
        return (
            f"Users: the recordings do not say when sessions began, so a user is taken to be "
            f"always at work, which is {each}."
        )
    days = count(busy.num_days, "day")
    return (
        f"Users: one begins {each} in the busy half of a day ({busy.length_s / 3600:.2g} h of "
        f"it, over {days}); the nights and the other half are not played."
    )


def _load(advice: Advice) -> str:
    today, tp = load_of(advice, TODAY), advice.traffic.hardware.tensor_parallel
    gpus = gpus_in_words(advice.traffic.gpus, tp)
    dealt = "" if advice.traffic.gpus == 1 else ", dealt evenly, of which one is played"
    return (
        f"Load: {users_at(advice, TODAY)} on {gpus}{dealt} ask for {today.gpu_load:.2g} of its "
        f"GPU time, {users_at(advice, TWICE)} for {2 * today.gpu_load:.2g}."
    )


def _pauses(advice: Advice) -> str:
    found = advice.traffic.recorded
    users = "" if found.user_share is None else f", {percent(found.user_share)} of them a user's"
    cut = "" if not found.num_cut else (
        f"; {found.num_cut:,} of {found.num_recorded:,} sessions paused for so long that what "
        "followed counts as another one (--idle)"
    )  # fmt: skip
    return f"Pauses: {percent(found.pause_share)} of a session's time alone{users}{cut}."


def _measures(advice: Advice) -> Iterator[str]:
    for at in (advice.verdict.today, advice.verdict.twice):
        yield f"Measure, with {users_at(advice, at.name)}: {at.turns[:1].lower()}{at.turns[1:]}"


def _tools(advice: Advice) -> str:
    load = load_of(advice, TODAY)
    cores = advice.found.sources[0].settings.get("tool_cores")
    asked = load.rate * advice.traffic.recorded.cpu_s
    per_core = asked / cores if isinstance(cores, int) and cores else 0.0
    near = " Yours are near it." if MAP_BORDER / 2 <= per_core <= MAP_BORDER * 2 else ""
    return (
        f"Tools: they ask for {asked:.2g} of {cores} cores, for no recording says what they "
        f"compute. On the map of marsbench's own worlds mars passes infercept where they ask for "
        f"more than {MAP_BORDER} of all cores.{near}"
    )


def _left_out(advice: Advice) -> Iterator[str]:
    found = advice.traffic.recorded
    if found.num_too_long:
        yield (
            f"Length: {count(found.num_too_long, 'session')} of "
            f"{found.num_too_long + found.num_recorded:,} grow beyond the {found.most_tokens:,} "
            f"tokens that {advice.world.hardware.id} can hold, and are left out."
        )


def _backends(advice: Advice) -> Iterator[str]:
    for source in advice.found.sources:
        host = source.params.get("host_tokens")
        if source.name == "infercept" and host:
            yield (
                f"Memory: infercept may swap {host:,} tokens of KV to host memory, which nobody "
                "else is given."
            )
            break
    capped = [name for name in advice.found.backends if name.startswith("fcfs-cap-")]
    if capped:
        yield (
            f"Cap: that of {capped[0]} had the best goodput at twice the load on seed 1, and is "
            "kept for all."
        )
    elif "fcfs-cap" in advice.world.backends:
        yield "Cap: the best fixed cap holds nobody back, so none stands beside fcfs."


def figure_head(figure: Figure) -> str:
    """ "mean latency, s"."""
    return figure.label + (f", {figure.unit}" if figure.unit else "")
