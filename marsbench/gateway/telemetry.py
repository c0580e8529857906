"""The gateway's own figures, for /metrics, and its latest events, for /marsbench/events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from marsbench.core import events
from marsbench.gateway.attribution import How
from marsbench.gateway.history import History
from marsbench.gateway.limits import Limits
from marsbench.gateway.pressure import Pressure
from marsbench.gateway.sessions import OpenSessions

if TYPE_CHECKING:
    from marsbench.gateway.upstreams import Upstreams

PREFIX = "marsbench_gateway_"
WAITS_S = (0.001, 0.01, 0.1, 1, 5, 10, 30, 60, 120, 300, 600, 1800)


class Telemetry:
    """Counts requests and sessions, and keeps the last events in so many bytes."""

    def __init__(self, history: int = Limits().history) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self.requests = Counter(
            f"{PREFIX}requests", "Requests, by how they ended", ["outcome"], registry=registry
        )
        self._sessions = Counter(
            f"{PREFIX}sessions", "Sessions, by how they ended", ["outcome"], registry=registry
        )
        self._wait = Histogram(
            f"{PREFIX}admission_wait_seconds",
            "From a session's arrival to its admission",
            buckets=WAITS_S,
            registry=registry,
        )
        self._history = History(history)
        self._arrived: dict[str, float] = {}

    def follow(self, sessions: OpenSessions, pressure: Callable[[], Pressure]) -> None:
        """Show these as they are at the moment they are asked for."""
        self._gauge("sessions_waiting", "Sessions that wait to be let in", sessions, "num_waiting")
        self._gauge("sessions_in_flight", "Sessions let in", sessions, "num_in_flight")
        self._gauge("rounds_in_flight", "Rounds at the server", sessions, "num_rounds")
        self._gauge("tools_in_flight", "Tool calls that run", sessions, "num_tools")
        self._gauge("cpu_calls", "Those known to burn CPU", sessions, "num_cpu_calls")
        self._registry.register(_FreeBlocks(pressure))

    def follow_rounds(self, counts: Mapping[How, int]) -> None:
        """Show these, by how each round's session is known."""
        self._registry.register(_Rounds(counts))

    def follow_upstreams(self, upstreams: Upstreams) -> None:
        """Show these, server by server."""
        self._registry.register(_Upstreams(upstreams))

    def _gauge(self, name: str, about: str, source: OpenSessions, attribute: str) -> None:
        gauge = Gauge(f"{PREFIX}{name}", about, registry=self._registry)
        gauge.set_function(lambda: float(getattr(source, attribute)))

    def __call__(self, event: events.Event) -> None:
        self._history.append(event)
        match event:
            case events.SessionArrived():
                self._arrived[event.session] = event.at
            case events.SessionAdmitted():
                self._wait.observe(event.at - self._arrived.pop(event.session))
            case events.SessionEnded():
                self._arrived.pop(event.session, None)
                self._sessions.labels(event.reason or event.outcome).inc()

    def page(self) -> bytes:
        """The figures as Prometheus reads them."""
        return generate_latest(self._registry)

    def since(self, number: int) -> tuple[list[events.Event], int]:
        """Events from that number on, as far as they are kept, and the number to go on with."""
        return self._history.since(number)


class _Rounds(Collector):
    """Counters that are counted elsewhere."""

    def __init__(self, counts: Mapping[How, int]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(
            f"{PREFIX}rounds", "Rounds, by how their session is known", labels=["session"]
        )
        for how, number in self._counts.items():
            family.add_metric([how], number)
        yield family


class _Upstreams(Collector):
    """What is known of several servers."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams

    def collect(self) -> Iterator[Metric]:
        label, members = ["upstream"], self._upstreams.members
        up = GaugeMetricFamily(f"{PREFIX}upstream_up", "1: it takes rounds", labels=label)
        rounds = CounterMetricFamily(f"{PREFIX}upstream_rounds", "Rounds sent there", labels=label)
        now = GaugeMetricFamily(
            f"{PREFIX}upstream_rounds_in_flight", "Rounds that it has", labels=label
        )
        for one in members:
            up.add_metric([one.url], one.is_up)
            rounds.add_metric([one.url], one.num_rounds)
            now.add_metric([one.url], self._upstreams.num_under_way(one))
        yield from (up, rounds, now)
        moves, resent = self._upstreams.num_moves, self._upstreams.num_resent
        yield CounterMetricFamily(f"{PREFIX}moves", "Sessions that went elsewhere", value=moves)
        yield CounterMetricFamily(f"{PREFIX}resent", "Rounds that were sent again", value=resent)


class _FreeBlocks(Collector):
    """A gauge that is absent while nobody knows its value: NaN is no number to those who add."""

    def __init__(self, pressure: Callable[[], Pressure]) -> None:
        self._pressure = pressure

    def collect(self) -> Iterator[Metric]:
        free = self._pressure().free_blocks
        if free is not None:
            name, about = f"{PREFIX}kv_free_blocks", "Free KV blocks, where they are measured"
            yield GaugeMetricFamily(name, about, float(free))
