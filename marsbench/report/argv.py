"""The options of `marsbench run` that make a run again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from marsbench.core.runs.summary import CAP_SEARCH
from marsbench.judge.compare.values import RunSource

Words = tuple[str, ...]

SETTINGS = {
    "block_size": "--block-size",
    "max_num_batched_tokens": "--step-budget",
    "max_num_seqs": "--max-seqs",
    "memory_fraction": "--memory-fraction",
    "tool_cores": "--tool-cores",
    "tool_workers": "--tool-workers",
}
HARDWARE = ("gpu", "model", "precision", "kv_dtype")
WORKLOAD = ("arrivals", "tools", "prefixes")


def options_of(source: RunSource) -> tuple[Words, ...]:
    """The options, each with its value: as typed, else as the run's own settings tell them.

    A run that a sweep made, or an earlier marsbench, did not keep what was typed: a hardware
    profile of one's own or a scaled step time is then not among them.
    """
    if source.asked:
        return tuple(_paired(source.asked))
    return tuple(_told(source))


def _paired(words: Words) -> Iterator[Words]:
    """Words as options with their values: no value that `marsbench run` takes begins with --."""
    pair: Words = ()
    for word in words:
        if word.startswith("--") and pair:
            yield pair
            pair = ()
        pair = (*pair, word)
    yield pair


def _told(source: RunSource) -> Iterator[Words]:
    meta = source.workload_meta
    yield from _given({"--backend": source.name, "--workload": source.place.workload})
    yield from _given({"--sessions": source.sessions, "--seed": source.seed})
    # A rate that follows from a load was computed: the load is what was asked.
    traffic = "load" if meta.get("load") is not None else "rate"
    yield from _given({f"--{name}": meta.get(name) for name in (traffic, *WORKLOAD)})
    yield from _given({f"--{n.replace('_', '-')}": source.hardware.get(n) for n in HARDWARE})
    yield from _given({option: source.settings.get(key) for key, option in SETTINGS.items()})
    yield from _given(_blocks(source.settings))
    for alpha in source.alphas:
        yield "--alpha", f"{alpha:g}"
    for name, value in source.params.items():
        if CAP_SEARCH not in source.settings or name != "cap":
            yield "--set", f"{name}={_typed(value)}"


def _blocks(settings: Mapping[str, Any]) -> dict[str, Any]:
    reserve = settings.get("reserve_full_prompt")
    own = settings.get("kv_blocks_of") == "option"
    return {
        "--kv-blocks": settings.get("kv_blocks") if own else None,
        "--reserve-full-prompt": None if reserve is None else ("on" if reserve else "off"),
    }


def _given(values: Mapping[str, Any]) -> Iterator[Words]:
    return ((name, _typed(value)) for name, value in values.items() if value is not None)


def _typed(value: Any) -> str:
    """A value as `--set` reads it."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
