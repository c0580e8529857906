"""The part of llm-d's report 0.2.1 that a run fills, by their schema: nothing else is let in.

After benchmark_report/schema_v0_2.py and schema_v0_2_1.py of llm-d-benchmark. Session figures are
in newer reports than their published schema; each is a statistic with the unit named here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Statistics(Strict):
    units: Literal["count", "s", "s/token", "tokens/s", "queries/s", "fraction"]
    mean: float
    stddev: Annotated[float, Field(ge=0)] | None = None
    min: float | None = None
    p0p1: float | None = None
    p1: float | None = None
    p5: float | None = None
    p10: float | None = None
    p25: float | None = None
    p50: float | None = None
    p75: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    p99p9: float | None = None
    max: float | None = None


class Counted(Statistics):
    units: Literal["count"]


class Seconds(Statistics):
    units: Literal["s"]


class SecondsPerToken(Statistics):
    units: Literal["s/token"]


class TokensPerSecond(Statistics):
    units: Literal["tokens/s"]


class QueriesPerSecond(Statistics):
    units: Literal["queries/s"]


class Time(Strict):
    start: Annotated[AwareDatetime, Field(strict=False)] | None = None
    end: Annotated[AwareDatetime, Field(strict=False)] | None = None
    duration: Annotated[str, Field(pattern=r"^PT[0-9.]+S$")] | None = None


class Run(Strict):
    uid: str
    eid: str | None = None
    description: str | None = None
    keywords: list[str] | None = None
    time: Time | None = None


class Metadata(Strict):
    label: str
    cfg_id: str
    schema_version: str = "0.0.1"
    description: str | None = None


class Parallelism(Strict):
    dp: int
    ep: int
    pp: int
    tp: int


class Accelerator(Strict):
    model: str
    count: Annotated[int, Field(ge=1)]
    parallelism: Parallelism


class ModelName(Strict):
    name: str


class Engine(Strict):
    kind: Literal["inference_engine"]
    tool: str
    tool_version: str
    role: Literal["replica", "prefill", "decode"]
    model: ModelName
    accelerator: Accelerator


class Generic(BaseModel):
    kind: Literal["generic"]
    tool: str
    tool_version: str


class Native(Strict):
    args: dict[str, Any] | None = None
    envars: dict[str, Any] | None = None
    config: Any = None


class Component(Strict):
    metadata: Metadata
    standardized: Annotated[Engine | Generic, Field(discriminator="kind")]
    native: Native


class Length(Strict):
    distribution: Literal["fixed", "gaussian", "uniform", "other"]
    value: Annotated[float, Field(ge=0)]
    min: Count | None = None
    max: Annotated[int, Field(ge=1)] | None = None


class MultiTurn(Strict):
    enabled: bool
    max_turns: Length | None = None


class Load(Strict):
    tool: str
    tool_version: str
    source: Literal["random", "sampled", "unknown"]
    input_seq_len: Length
    output_seq_len: Length | None = None
    multi_turn: MultiTurn | None = None


class LoadMetadata(Strict):
    cfg_id: str | None = None
    description: str | None = None


class WholeLoad(Strict):
    metadata: LoadMetadata
    standardized: Load
    native: Native


class Scenario(Strict):
    stack: list[Component] | None = None
    load: WholeLoad | None = None


class Requests(Strict):
    total: Count
    failures: Count | None = None
    incomplete: Count | None = None
    input_length: Counted | None = None
    output_length: Counted | None = None


class Latency(Strict):
    time_to_first_token: Seconds | None = None
    normalized_time_per_output_token: SecondsPerToken | None = None
    time_per_output_token: SecondsPerToken | None = None
    inter_token_latency: SecondsPerToken | None = None
    request_latency: Seconds | None = None


class Throughput(Strict):
    input_token_rate: TokensPerSecond | None = None
    output_token_rate: TokensPerSecond | None = None
    total_token_rate: TokensPerSecond | None = None
    request_rate: QueriesPerSecond | None = None


class Aggregate(Strict):
    requests: Requests | None = None
    latency: Latency | None = None
    throughput: Throughput | None = None


class RequestPerformance(Strict):
    aggregate: Aggregate


class Sessions(Strict):
    total: Count
    succeeded: Count
    failed: Count
    total_events: Count
    session_rate: QueriesPerSecond | None = None
    session_duration: Seconds | None = None
    events_per_session: Counted | None = None
    input_tokens_per_session: Counted | None = None
    output_tokens_per_session: Counted | None = None


class SessionPerformance(Strict):
    sessions: Sessions


class Resources(Strict):
    kv_cache_usage: Statistics | None = None


class Observed(Strict):
    component_label: str
    aggregate: Resources | None = None


class Observability(Strict):
    components: list[Observed] | None = None


class Results(Strict):
    request_performance: RequestPerformance
    session_performance: SessionPerformance
    observability: Observability | None = None


class Report(Strict):
    version: Literal["0.2.1"]
    run: Run
    scenario: Scenario | None = None
    results: Results
