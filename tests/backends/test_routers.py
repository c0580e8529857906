"""Each router by its own formula, on views made by hand: no simulator, no vLLM."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from marsbench.errors import UsageError
from marsbench.replicas.changes import Changes, read_changes
from marsbench.replicas.known import KnownPrefixes, segments
from marsbench.replicas.options import ReplicaOptions, divided, fleet_of
from marsbench.replicas.registry import ROUTERS, choose_router
from marsbench.replicas.router import Placement, ReplicaView, RoundToPlace, Router, Segment


def ask(writer: int = 1, blocks: int = 100, **facts: Any) -> RoundToPlace:
    def first(below: int) -> int:
        return 0

    given: dict[str, Any] = {"now": 0.0, "session": f"s{writer}", "round": 0, "draw": first}
    given["prefill_s"] = lambda tokens, cached: tokens / 1000
    given |= {"prompt_tokens": 16 * blocks, "blocks": (Segment(writer, blocks),)}
    return RoundToPlace(**{**given, "block_size": 16, **facts})


def views(*loads: int, **lists: Sequence[Any]) -> list[ReplicaView]:
    """A replica a load (rounds under way), with other facts as lists."""
    return [
        ReplicaView(i, under_way=load)._replace(**{n: values[i] for n, values in lists.items()})
        for i, load in enumerate(loads)
    ]


def router(name: str, *settings: str) -> Router:
    return choose_router(name, settings).build()


def taught(name: str, *settings: str, sent: Sequence[tuple[int, int, int]]) -> Router:
    """A router that has sent prompts before: (writer, blocks, replica)."""
    found = router(name, *settings)
    for writer, blocks, replica in sent:
        found.placed(ask(writer, blocks), replica)
    return found


def test_round_robin_takes_the_next() -> None:
    found, seen = router("round-robin"), []
    for _ in range(5):
        seen.append(found.route(ask(), views(9, 0, 0)))
        found.placed(ask(), seen[-1])
    assert seen == [0, 1, 2, 0, 1]


def test_least_load_counts_rounds_or_tokens() -> None:
    shown = views(2, 1, 1, tokens=[10, 30, 20])
    assert router("least-load").route(ask(), shown) == 1
    assert router("least-load", "by_tokens=on").route(ask(), shown) == 0


def test_on_the_ring_sessions_stay_and_a_fourth_replica_takes_about_a_quarter() -> None:
    found = router("session-affinity")
    three, four = (
        [found.route(ask(session=f"s{n}"), views(*[0] * num)) for n in range(2000)]
        for num in (3, 4)
    )
    moved = [b for a, b in zip(three, four, strict=True) if a != b]
    assert set(moved) == {3}
    assert 400 < len(moved) < 600


def test_prefix_aware_draws_among_the_longest() -> None:
    found = taught("prefix-aware", sent=[(1, 50, 0), (1, 100, 1), (1, 120, 2)])
    drawn: list[int] = []

    def last(below: int) -> int:
        drawn.append(below)
        return below - 1

    assert found.route(ask(1, 100, draw=last), views(0, 0, 0)) == 2
    assert found.route(ask(7, 100, draw=last), views(0, 0, 0)) == 2
    assert drawn == [2, 3]


@pytest.mark.parametrize(("matched", "by_match"), [(8000, True), (7999, False)])
def test_kv_aware_takes_a_match_that_leaves_2000_tokens(matched: int, by_match: bool) -> None:
    found, given = router("kv-aware"), ask(1, 625)  # 10,000 tokens
    home = router("session-affinity").route(given, views(0, 0))
    other = 1 - home
    shown = views(0, 0, matched_tokens=[matched if i == other else 0 for i in (0, 1)])
    assert found.route(given, shown) == (other if by_match else home)


def test_cache_aware_follows_the_match_until_load_is_uneven() -> None:
    found = taught("cache-aware", sent=[(1, 31, 1), (2, 10, 2), (3, 90, 0)])
    assert found.route(ask(1), views(0, 64, 5)) == 1  # 31 of 100 blocks: above 0.3
    assert found.route(ask(1), views(0, 65, 5)) == 0  # 65 - 0 > 64 and 65 > 1.5 x 0
    assert found.route(ask(1), views(150, 215, 200)) == 1  # 215 <= 1.5 x 150
    short = taught("cache-aware", sent=[(1, 30, 1), (2, 10, 2), (3, 90, 0)])
    assert short.route(ask(1), views(0, 0, 5)) == 2  # 0.3 is not above 0.3: the smallest tree


def test_llm_d_weighs_queue_cache_and_prefix() -> None:
    found = taught("llm-d", sent=[(1, 50, 1)])
    # 2 x 1 + 2 x 0.5 + 0 = 3 against 2 x 0 + 2 x 0.9 + 3 x 0.5 = 3.3 and 2 x 0.5 + 2 x 1 = 3
    shown = views(0, 0, 0, waiting=[0, 4, 2], kv_usage=[0.5, 0.1, 0.0])
    assert found.route(ask(1), shown) == 1
    shown = views(0, 0, 0, waiting=[0, 4, 2], kv_usage=[0.5, 0.3, 0.0])  # 3, 2.9, 3: drawn
    assert found.route(ask(1, draw=lambda below: below - 1), shown) == 2


def test_llm_d_counts_how_long_a_match_is() -> None:
    sent, length = [(1, 50, 1)], "match_length_tokens=1600"
    # 800 of 1,600 tokens: 0.2 x 0.5 + 0.8 x 0.25 = 0.3, so 2 x 0.9 + 3 x 0.3 = 2.7 against 2 x 1.4
    shown = views(0, 0, waiting=[0, 4], kv_usage=[0.6, 0.1])
    assert taught("llm-d", sent=sent).route(ask(1), shown) == 1  # 3.3
    assert taught("llm-d", "match_length_weight=0.8", length, sent=sent).route(ask(1), shown) == 0
    longer = taught("llm-d", "match_length_weight=0.8", "match_length_tokens=400", sent=sent)
    assert longer.route(ask(1), shown) == 1  # all of it: 0.8 + 0.1, so 4.5


def test_llm_d_filters_by_affinity_where_that_costs_no_more_than_18_s() -> None:
    found = taught("llm-d", "affinity=true", sent=[(1, 80, 1)])
    far = {"waiting": [0, 9, 0], "kv_usage": [0.0, 0.9, 0.0]}  # 4 against 0.2 + 2.4
    in_time, late = 18 * 15_928, 18 * 15_928 + 1
    assert found.route(ask(1), views(0, 0, 0, tokens=[0, in_time, 5], **far)) == 1
    assert found.route(ask(1), views(0, 0, 0, tokens=[0, late, 5], **far)) == 0
    assert taught("llm-d", sent=[(1, 80, 1)]).route(ask(1), views(0, 0, 0, **far)) == 0
    few = taught("llm-d", "affinity=true", sent=[(1, 79, 1)])
    assert few.route(ask(1), views(0, 0, 0, **far)) == 0


def test_the_clairvoyant_counts_what_it_keeps_others_waiting() -> None:
    # 1.6 s to compute all: 1 + 1.6 against 0.5 + 1.6 x 2 against 2 + 0.1 x 4
    shown = views(0, 1, 3, work_s=[1.0, 0.5, 2.0], matched_tokens=[0, 0, 1500])
    assert router("clairvoyant").route(ask(1), shown) == 2
    shown = views(0, 1, 3, work_s=[1.0, 0.5, 2.0], matched_tokens=[0, 0, 1400])
    assert router("clairvoyant").route(ask(1), shown) == 0


def measured(found: Router, replica: int, tokens_per_s: float) -> None:
    """Eight rounds of 10 blocks went there, and their first tokens came at this rate."""
    for number in range(8):
        given = ask(1000 + number + 8 * replica, 10, round=99)
        found.placed(given, replica)
        found.first_token((given.session, 99), 160 / tokens_per_s)


def test_migrate_fetches_a_context_where_that_is_quicker_than_computing_it() -> None:
    """1,600 tokens of prompt, a millisecond each; replica 1 has all but 100 of them."""
    there = views(0, 1, 0, matched_tokens=[0, 1500, 0], prefill_tokens=[0, 0, 0])
    quick, slow = (ask(1, move_s=lambda *of, s=s: s) for s in (0.05, 0.2))
    found = router("migrate")
    assert found.route(quick, there) == Placement(0, 1)  # 0.05 + 0.1, against 0.1 x 2
    assert found.route(slow, there) == 1  # 0.2 + 0.1 = 0.3
    busy = views(0, 9, 0, matched_tokens=[0, 1500, 0], prefill_tokens=[0, 5000, 0])
    assert found.route(slow, busy) == Placement(0, 1)  # 0.3, against 5 + 0.1 x 10
    assert found.route(ask(1), busy) == 0  # nothing is copied: 1.6
    partly = views(0, 9, 0, matched_tokens=[0, 1500, 1480], prefill_tokens=[0, 5000, 0])
    assert found.route(slow, partly) == 2  # 0.12 by itself


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("link_gb_s=0", "link_gb_s must be more than 0, not 0"),
        ("link_latency_s=-1", "link_latency_s must be 0 or more, not -1"),
    ],
)
def test_a_link_that_cannot_be_is_said(given: str, says: str) -> None:
    with pytest.raises(UsageError, match=f"Router migrate: {says}"):
        choose_router("migrate", [given])


def test_smetric_takes_the_last_of_those_that_are_alike_in_match_and_work() -> None:
    found = taught("smetric", sent=[(1, 100, 0), (1, 100, 1)])
    found.first_token(("s1", 0), 1.0)  # nothing is queued any more
    assert found.route(ask(1, 110, round=1), views(5, 5, 0)) == 1


def test_smetric_stays_where_the_session_was_while_that_is_fast_enough() -> None:
    found = taught("smetric", sent=[(1, 100, 1)])
    later = ask(1, 110, round=1)
    assert found.route(later, views(0, 9)) == 1  # nobody's rate is known
    assert found.route(ask(1, 110), views(1, 2)) == 0  # first round: 1,760 x 1 against 1,760 x 2
    measured(found, 0, 1000.0)
    measured(found, 1, 1000.0)
    # Limit 1 + 0.0625 x 1.76 = 1.11 s: 160 new behind 1,600 that are queued there take 1.76 s.
    assert found.route(later, views(0, 0)) == 1  # and 1,760 elsewhere take as long
    found.first_token(("s1", 0), 1.6)
    assert found.route(later, views(0, 9)) == 1  # 0.16 s
    far = taught("smetric", sent=[(1, 100, 1), (2, 10, 1)])
    measured(far, 0, 5000.0)
    measured(far, 1, 1000.0)
    assert far.route(later, views(0, 1)) == 0  # 1.92 s there, 0.35 s here


def test_smetric_lets_a_session_go_whose_context_is_little_of_what_it_sent() -> None:
    found = taught("smetric", sent=[(1, 200, 1)])
    short = replace(ask(1, 220, round=1), blocks=(Segment(1, 100), Segment(7, 220)))
    assert found.route(short, views(0, 1)) == 0  # 1,600 of 3,200 tokens are no more than half


@pytest.mark.parametrize("name", sorted(ROUTERS))
def test_routers_name_replicas_and_not_places_in_the_list(name: str) -> None:
    found = router(name)
    left = [one._replace(index=one.index * 2 + 3) for one in views(0, 0, matched_tokens=[0, 0])]
    for writer in range(4):
        given = ask(writer, draw=lambda below: below - 1)
        chosen = found.route(given, left)
        assert chosen in (3, 5)
        found.placed(given, chosen)
        assert found.route(replace(given, round=1), left) in (3, 5)


def test_dynamo_adds_blocks_to_prefill_and_under_way() -> None:
    # prompt 1,600: (0 + 1600 - 800) + (4000 + 1600) = 6400 against (400 + 1600) + (2000 + 1600)
    shown = views(1, 1, tokens=[4000, 2000], prefill_tokens=[0, 400], matched_tokens=[800, 0])
    assert router("dynamo").route(ask(1, 100), shown) == 1
    assert router("dynamo", "overlap_weight=3").route(ask(1, 100), shown) == 0


def test_smg_spills_only_from_the_overloaded() -> None:
    found = taught("smg", sent=[(1, 31, 1), (1, 31, 2)])
    assert found.route(ask(1), views(0, 9, 8)) == 2
    assert found.route(ask(1), views(0, 200, 200)) == 1  # 200 = 1.5 x the mean, not above
    alone = taught("smg", sent=[(1, 31, 1)])
    assert alone.route(ask(1), views(10, 150, 20)) == 0  # mean 60: 150 > 90 and > 124
    assert alone.route(ask(1), views(10, 99, 20)) == 1
    assert alone.route(ask(9), views(3, 2, 1)) == 2


def test_aibrix_takes_the_best_match_that_is_not_overloaded() -> None:
    found = taught("aibrix", sent=[(1, 100, 2), (1, 40, 1)])
    assert found.route(ask(1), views(0, 0, 0)) == 2
    assert found.route(ask(1), views(0, 1, 8)) == 1  # 8 > mean 3 + deviation 3.56
    assert found.route(ask(1), views(0, 1, 9)) == 0  # 9 - 0 > 8: the fewest
    assert found.route(ask(1, now=1201.0), views(2, 1, 2)) == 1  # forgotten after 20 minutes


def test_ray_takes_the_longest_prefix_of_a_tenth_or_the_smallest_tree() -> None:
    found = taught("ray-prefix", sent=[(1, 10, 1), (2, 90, 0), (3, 5, 2)])
    assert found.route(ask(1), views(0, 500, 0)) == 1
    assert found.route(ask(3), views(0, 0, 0)) == 2  # 5 of 100: too few; and the smallest tree
    assert found.route(ask(1, 200), views(0, 0, 0)) == 2
    uneven = router("ray-prefix", "imbalance=10")
    assert uneven.route(ask(1), views(30, 20, 0)) == 1  # drawn: 0 and 1


def test_a_prefix_is_known_as_far_as_its_blocks_go_on() -> None:
    known, given = KnownPrefixes(), ask()
    known.learn(replace(given, blocks=(Segment(1, 6), Segment(2, 50))), 0)
    for blocks, matched in (
        ((Segment(1, 6), Segment(2, 40)), 40),
        ((Segment(1, 6), Segment(3, 40)), 6),
        ((Segment(1, 6), Segment(2, 60), Segment(4, 70)), 50),
        ((Segment(3, 6), Segment(2, 50)), 0),
    ):
        assert known.matched(replace(given, blocks=blocks), 0) == matched
    known.learn(replace(given, blocks=(Segment(1, 6), Segment(3, 10))), 0)
    assert known.size(0) == 6 + 44 + 4


def test_keys_are_told_apart_by_their_writers() -> None:
    keys = [n.to_bytes(4, "big") + b"...." for n in (5, 5, 7, 7, 7, 2)]
    assert segments(keys, 6, 4) == (Segment(5, 2), Segment(7, 5), Segment(2, 6))
    assert segments(keys, 4, 4) == (Segment(5, 2), Segment(7, 4))


@pytest.mark.parametrize("name", sorted(ROUTERS))
def test_every_router_says_its_source_and_what_it_leaves_out(name: str) -> None:
    about = choose_router(name).about
    assert "\n\nSource: " in about
    assert "Not modelled: " in about
    json.dumps(choose_router(name).params, allow_nan=False)  # as run.json keeps them
    given, found = ask(), router(name)
    shown = views(3, 1, 2, matched_tokens=[0, 0, 0])
    assert found.route(given, shown) in (0, 1, 2)


def asked(num: int, name: str | None = None, *settings: str, **facts: Any) -> Callable[[], object]:
    given = {"engine": "sim", "single": (), **facts}
    return lambda: fleet_of(ReplicaOptions(replicas=num, router=name), settings, **given)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (asked(0), "--replicas must be from 1 to 1,024, not 0; for example --replicas 4."),
        (asked(2, "round-robbin"), "Unknown router 'round-robbin'. Did you mean 'round-robin'?"),
        (asked(1, "nobody"), "Unknown router 'nobody'."),
        (asked(2, None, "age=1"), "Unknown parameter of router round-robin 'age'."),
        (asked(2, None, "snapshot_age_s"), "--set takes PARAMETER=VALUE"),
        (asked(2, None, "snapshot_age_s=-1"), "router.snapshot_age_s must be 0 or more, not -1"),
        (asked(2, "smg", "balance_abs=x"), "balance_abs must be of type int, not 'x'"),
        (asked(2, "llm-d", "match_length_weight=2"), "match_length_weight must be from 0 to 1"),
        (asked(2, "llm-d", "match_length_tokens=0"), "match_length_tokens must be 1 or more"),
        (asked(2, "marsbench.replicas.router:Router"), "has no route(), which names the replica."),
        (asked(2, "json:dumps"), "is no subclass of marsbench's Router"),
        (asked(2, "dynamo", "kv_event_delay_s=-1"), "router.kv_event_delay_s must be 0 or more"),
        (asked(2, "smg", "kv_event_delay_s=1"), "is for a router that hears of KV events, and smg"),
        (asked(2, engine="live"), "--replicas 2 is for --engine sim, not --engine live"),
        (asked(2, single=["--host-kv"]), "--replicas 2 cannot be played with --host-kv yet"),
        (asked(2, single=["--vllm"]), "--replicas 2 cannot be played with --vllm yet"),
    ],
)
def test_what_cannot_be_is_one_sentence(wrong: Callable[[], object], said: str) -> None:
    with pytest.raises(UsageError) as error:
        wrong()
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_one_replica_is_no_fleet() -> None:
    assert asked(1)() is None
    assert asked(1, "smg")() is None


def test_parameters_of_the_router_are_told_from_the_backends() -> None:
    given = ["router.snapshot_age_s=0", "mars.aging_s=10", "cap=2"]
    assert divided(given) == (["snapshot_age_s=0"], ["mars.aging_s=10", "cap=2"])


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['{"at": 1, "replica": 4, "event": "leaves"}'], "there is no replica 4 of 3"),
        (['{"at": 1, "replica": 0, "event": "goes"}'], "'leaves', 'drains' or 'joins'"),
        (['{"at": -1, "replica": 0, "event": "joins"}'], "events.jsonl:1: at"),
        (["nonsense"], 'a line is like {"at": 120, "replica": 2, "event": "leaves"}'),
        (
            [
                '{"at": 2, "replica": 0, "event": "drains"}',
                '{"at": 1, "replica": 0, "event": "leaves"}',
            ],
            "replica 0 drains at 2 s, where it is not there",
        ),
        (
            [f'{{"at": {n}, "replica": {n}, "event": "drains"}}' for n in range(3)],
            "from 2 s on no replica takes rounds",
        ),
        (
            [f'{{"at": 9, "replica": {n}, "event": "joins"}}' for n in range(3)],
            "no replica is there at the start",
        ),
    ],
)
def test_replica_events_that_cannot_be_are_told(
    tmp_path: Path, lines: list[str], said: str
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(lines))
    with pytest.raises(UsageError) as refused:
        read_changes(file, 3)
    assert said in str(refused.value)


def test_replica_events_are_taken_in_the_order_of_their_times(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(
        '{"at": 9, "replica": 1, "event": "leaves"}\n\n{"at": 5, "replica": 1, "event": "drains"}\n'
        '{"at": 7, "replica": 2, "event": "joins"}\n'
    )
    changes = Changes(read_changes(file, 3), 3)
    shown = [(changes.open.copy(), changes.there.copy())]
    while changes.next_at < float("inf"):
        changes.take()
        shown.append((changes.open.copy(), changes.there.copy()))
    assert shown == [
        ({0, 1}, {0, 1}), ({0}, {0, 1}), ({0, 2}, {0, 1, 2}), ({0, 2}, {0, 2}),
    ]  # fmt: skip


def test_a_replica_that_left_is_forgotten_by_whoever_knew_its_prefixes() -> None:
    for name in ("aibrix", "cache-aware", "llm-d", "prefix-aware", "ray-prefix", "smetric", "smg"):
        found: Any = taught(name, sent=[(1, 100, 1)])
        found.gone(1)
        assert found._known.matched(ask(1), 1) == 0
