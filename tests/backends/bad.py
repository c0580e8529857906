"""Policies that misbehave, each in one way, and what is said of each."""

from __future__ import annotations

import math
from typing import Any

from marsbench_backends.admission import Admission
from marsbench_backends.policy import EvictionRank, Keep, Policy, Release


class Forgetful(Policy):
    def retain(self, paused: Any, view: Any) -> Any:
        Release()


class Uncalled(Policy):
    def retain(self, paused: Any, view: Any) -> Any:
        return Release


class KeepsThePast(Policy):
    def retain(self, paused: Any, view: Any) -> Any:
        return Keep(view.now)

    def reclaim(self, held: Any, needs: Any, view: Any) -> Any:
        return None


class KeepsForNoTime(Policy):
    def retain(self, paused: Any, view: Any) -> Any:
        return Keep(math.nan)


class Clumsy(Policy):
    def retain(self, paused: Any, view: Any) -> Any:
        return {}[paused.session_id]


class GivesThePause(Policy):
    def retain(self, paused: Any, view: Any) -> Any:
        return Keep()

    def reclaim(self, held: Any, needs: Any, view: Any) -> Any:
        return held[0]


class GivesAStranger(GivesThePause):
    def reclaim(self, held: Any, needs: Any, view: Any) -> Any:
        return "nobody"


class RanksByNumber(Policy):
    def eviction_order(self, req: Any, view: Any) -> Any:
        return [70]


class RanksForThePast(Policy):
    def eviction_order(self, req: Any, view: Any) -> Any:
        return [EvictionRank(math.inf, 70.0, view.now)]


class RanksBackwards(Policy):
    def eviction_order(self, req: Any, view: Any) -> Any:
        return [EvictionRank(200, 1.0), EvictionRank(100, 2.0)]


class SparesAll(Policy):
    def victim(self, running: Any, view: Any) -> Any:
        return None


class Generous(Policy):
    def chunk(self, req: Any, num_tokens: int, view: Any) -> Any:
        return num_tokens + 1


class Halves(Policy):
    def chunk(self, req: Any, num_tokens: int, view: Any) -> Any:
        return num_tokens / 2


class SaysYes(Policy):
    def chunk(self, req: Any, num_tokens: int, view: Any) -> Any:
        return True


class Shrinks(Policy):
    def shrink(self, req: Any, num_tokens: int, room_tokens: int, view: Any) -> Any:
        return room_tokens - num_tokens


class Undecided(Policy):
    def waiting_key(self, req: Any, view: Any) -> Any:
        return (math.nan, req.position)


class Bare(Policy):
    def waiting_key(self, req: Any, view: Any) -> Any:
        return req.position


class Mixed(Policy):
    def waiting_key(self, req: Any, view: Any) -> Any:
        first = req.session_id if int(req.session_id[1:3]) % 2 else req.position
        return (first, req.position)


class UndecidedRunning(Policy):
    sorts_running = True

    def running_key(self, req: Any, view: Any) -> Any:
        return (math.nan, req.position)


class MixedRunning(Mixed):
    sorts_running = True

    def waiting_key(self, req: Any, view: Any) -> Any:
        return (req.position,)

    def running_key(self, req: Any, view: Any) -> Any:
        return Mixed.waiting_key(self, req, view)


class Restless(Policy):
    def changes_at(self, view: Any) -> Any:
        return view.now


class Timeless(Policy):
    def changes_at(self, view: Any) -> Any:
        return math.nan


class Owing(Policy):
    def steady_tokens(self, req: Any, view: Any) -> Any:
        return -1


class Deaf(Policy):
    def observe(self, signal: Any) -> None:
        raise KeyError("s00")


class Tired(Policy):
    def serve(self, step: Any) -> None:
        raise RuntimeError


BAD = {
    Forgetful: r"retain answered None for session 's\d+[^']*', round \d, at [\d.]+ s; allowed is "
    r"Keep\(until\) with until after now, Release\(\), Discard\(\) or Swap\(\)\. "
    r"Does every branch of it return\?",
    Uncalled: r"retain answered <class 'marsbench_backends.policy.Release'> for session 's\d+",
    KeepsThePast: r"retain answered Keep\(until=[\d.]+\) for session 's\d+.*until after now",
    KeepsForNoTime: r"retain answered Keep\(until=nan\) for session 's\d+",
    Clumsy: r"retain raised KeyError: 's\d+[^']*' \(line \d+ of bad.py\) for session 's\d+",
    GivesThePause: r"reclaim answered Paused\(session_id='s\d+.* allowed is None or the id of a "
    r"session that holds blocks \('s\d+",
    GivesAStranger: r"reclaim answered 'nobody' for session 's\d+[^']*', round \d, at",
    RanksByNumber: r"eviction_order answered \[70\] for session 's\d+.* allowed is a list of "
    r"EvictionRank\(upto, rank, until\)",
    RanksForThePast: r"eviction_order answered \[EvictionRank\(upto=inf, rank=70.0, until=[\d.]+\)",
    RanksBackwards: r"eviction_order answered \[EvictionRank\(upto=200, .* no less than the one",
    SparesAll: r"victim answered None, at [\d.]+ s; allowed is one of the requests in `running`\.",
    Generous: r"chunk answered \d+ for session 's\d+.* a whole number from 0 to \d+\.",
    Halves: r"chunk answered \d+\.0 for session 's\d+.* a whole number from 0 to \d+\.",
    SaysYes: r"chunk answered True for session 's\d+",
    Shrinks: r"shrink answered -\d+ for session 's\d+.* allowed is a whole number from 0 to \d+\.",
    Undecided: r"waiting_key answered \(nan, 1\) for session 's\d+.* no NaN in it\.",
    Bare: r"waiting_key answered 1 for session 's\d+.* allowed is a tuple of numbers or text",
    Mixed: r"waiting_key answered \(.*\) and \(.*\), which cannot be compared: '<' not supported",
    UndecidedRunning: r"running_key answered \(nan, 1\) for session 's\d+.* no NaN in it\.",
    MixedRunning: r"running_key answered \(.*\) and \(.*\), which cannot be compared: '<' not",
    Restless: r"changes_at answered [\d.]+, at [\d.]+ s; allowed is a time after now \(inf: never",
    Timeless: r"changes_at answered nan, at [\d.]+ s; allowed is a time after now",
    Owing: r"steady_tokens answered -1 for session 's\d+.* allowed is a number of tokens, 0 or",
    Deaf: r"observe raised KeyError: 's00' \(line \d+ of bad.py\), at [\d.]+ s\.",
    Tired: r"serve raised RuntimeError \(line \d+ of bad.py\), at [\d.]+ s\.",
}


# --- admission


class Inviting(Admission):
    def admit(self, waiting: Any, state: Any) -> Any:
        return [c.session_id for c in waiting] + ["nobody"]


class Doubling(Admission):
    def admit(self, waiting: Any, state: Any) -> Any:
        return [waiting[0].session_id] * 2


class Whole(Admission):
    def admit(self, waiting: Any, state: Any) -> Any:
        return list(waiting)


class Spelling(Admission):
    def admit(self, waiting: Any, state: Any) -> Any:
        return waiting[0].session_id


class Silent(Admission):
    def admit(self, waiting: Any, state: Any) -> Any:
        del waiting


class Falling(Admission):
    def admit(self, waiting: Any, state: Any) -> Any:
        return waiting[len(waiting)]


class Hasty(Admission):
    def admit(self, waiting: Any, state: Any) -> Any:
        self.tick_s = 0.0
        return ()


BAD_ADMISSION = {
    Inviting: r"admit answered \['s\w+', .*'nobody'\], at [\d.]+ s; allowed is a list of sessions "
    r"that wait, each once \('s\w+'",
    Doubling: r"admit answered \['(s\w+)', '\1'\]",
    Whole: r"admit answered \[Candidate\(session_id='s\w+'",
    Spelling: r"admit answered 's\w+', at",
    Silent: r"admit answered None.* Does every branch of it return\?",
    Falling: r"admit raised IndexError: list index out of range \(line \d+ of bad.py\), at",
    Hasty: r"tick_s answered 0.0, at [\d.]+ s; allowed is seconds, 1e-06 or more \(inf: no ticks\)",
}
