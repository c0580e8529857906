"""Reads OpenTelemetry's spans of generative AI, as OTLP writes them in JSON.

One object, or a line a batch as the Collector's file exporter writes. Calls and tools are told by
`gen_ai.operation.name`; what wrote before that attribute was, by names of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head
from marsbench.formats.messages import objects_of
from marsbench.formats.opening import records_of
from marsbench.formats.reading import (
    Contents,
    Instant,
    ReadError,
    Record,
    Repair,
    Tokens,
    each_read,
    record_of,
)
from marsbench.formats.spans import Span, contents_of_spans
from marsbench.formats.timed import Usage

_CALLS = ("chat", "text_completion", "generate_content", "completion", "llm")
_TOOLS = ("execute_tool", "tool")
_HOLDERS = ("invoke_agent", "create_agent", "embeddings", "invoke_workflow", "retrieval")
_KIND = ("gen_ai.operation.name", "llm.request.type", "openinference.span.kind")
_SESSION = ("gen_ai.conversation.id", "session.id", "langfuse.session.id")
_TOOL = ("gen_ai.tool.name", "tool.name")
_INPUT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
_OUTPUT = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
)
_CACHED = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.input_tokens.cached",
    "llm.token_count.prompt_details.cache_read",
)
_CREATED = (
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "llm.token_count.prompt_details.cache_write",
)
_REASONING = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.output_tokens.reasoning",
    "llm.token_count.completion_details.reasoning",
)


class _Counts(Record):
    prompt: Tokens | None
    output: Tokens | None
    cached: Tokens | None
    created: Tokens | None
    reasoning: Tokens | None

    @property
    def usage(self) -> Usage:
        """The input has the cached tokens in it, by the convention. Some write it without: it is
        then less than they are."""
        prompt, beside = self.prompt, (self.cached or 0) + (self.created or 0)
        if prompt is not None and prompt < beside:
            prompt += beside
        return Usage(prompt, self.output, self.cached, self.reasoning)


class _Span(Record):
    trace: str = Field(validation_alias="traceId")
    id: str = Field(validation_alias="spanId")
    parent: str | None = Field(None, validation_alias="parentSpanId")
    name: str = ""
    began_ns: Instant | None = Field(None, validation_alias="startTimeUnixNano")
    ended_ns: Instant | None = Field(None, validation_alias="endTimeUnixNano")
    attributes: Any = None


def read_otel(path: Path, fallback: Fallback) -> Contents:
    """The sessions of a file: by the conversation that a span names, else by its trace."""
    return contents_of_spans(path, _spans, fallback)


def _spans(path: Path, repairs: list[Repair]) -> Iterator[Span]:
    for record in each_read(records_of(path), lambda value: value, repairs):
        for one in _written(record):
            try:
                yield _span(one)
            except ReadError as error:
                repairs.append(Repair("a span that cannot be read", str(error)))


def _written(record: Any) -> Iterator[Mapping[str, Any]]:
    """The spans of a batch; `instrumentationLibrarySpans` before OTLP 0.19."""
    batch = record if isinstance(record, Mapping) else {}
    for resource in objects_of(batch.get("resourceSpans")):
        scopes = resource.get("scopeSpans") or resource.get("instrumentationLibrarySpans")
        for scope in objects_of(scopes):
            yield from objects_of(scope.get("spans"))


def _span(record: Mapping[str, Any]) -> Span:
    scaled = {
        key: _seconds(record[key]) for key in ("startTimeUnixNano", "endTimeUnixNano")
        if record.get(key)
    }  # fmt: skip
    one = record_of(_Span, {**record, **scaled})
    about = _attributes(one.attributes)
    counts = _Counts.model_construct()
    kind = _kind(about)
    if kind == "call":
        names = {"prompt": _INPUT, "output": _OUTPUT, "cached": _CACHED, "created": _CREATED,
                 "reasoning": _REASONING}  # fmt: skip
        counts = record_of(_Counts, {key: _first(about, own) for key, own in names.items()})
    tool = _first(about, _TOOL)
    return Span(
        one.id, one.parent or "", one.trace, str(_first(about, _SESSION) or ""), kind,
        str(tool or one.name or "tool"), one.began_ns, one.ended_ns,
        counts.usage if kind == "call" else Usage(),
    )  # fmt: skip


def _seconds(nanoseconds: Any) -> Any:
    try:
        return int(nanoseconds) / 1e9
    except (TypeError, ValueError, OverflowError):
        return nanoseconds


def _kind(about: Mapping[str, Any]) -> Literal["call", "tool", "other"]:
    said = str(_first(about, _KIND) or "").lower()
    if said in _TOOLS:
        return "tool"
    counts = _first(about, _INPUT) is not None and said not in _HOLDERS
    is_call = said in _CALLS or (counts and said not in ("agent", "chain"))
    return "call" if is_call else "other"


def _attributes(value: Any) -> dict[str, Any]:
    """OTLP's pairs of a key and a value that says its type; an int is written as a text."""
    found = {}
    for one in objects_of(value):
        held = one.get("value")
        if isinstance(held, Mapping) and held:
            found[str(one.get("key"))] = next(iter(held.values()))
    return found


def _first(about: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((about[name] for name in names if about.get(name) is not None), None)


def _recognised(head: Head) -> str | None:
    if head.has("resourceSpans"):
        return "it has resourceSpans"
    return None


FORMAT = Format(
    name="otel",
    title="OpenTelemetry spans of generative AI",
    tried=("OTLP 1.5 (2025-02)", "semantic conventions 1.37 (2025-08)"),
    recognise=_recognised,
    read=read_otel,
    has_arrivals=True,
)
