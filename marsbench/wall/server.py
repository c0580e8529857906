"""What answers at a URL: its models, whether it is vLLM, and whether a gateway stands before it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from time import sleep
from typing import Any, Protocol

import httpx

from marsbench.clock import monotonic
from marsbench.core.backends import Choice
from marsbench.errors import UsageError
from marsbench.http_server import CONTROL_HEADER, CONTROL_TOKEN
from marsbench.serve.metrics_page import ServerMetrics, read_server_metrics
from marsbench.text.progress import waiting_for
from marsbench_backends.admission import Admission

ANSWER_S, AGAIN_S = 60.0, 0.5
KEY = "OPENAI_API_KEY"
# Of what a gateway says of itself, what the run folder keeps: where it was is not among it.
GATEWAY_FACTS = ("version", "backend", "parameters", "speed", "tool_cores")
ROUTER_FACTS = ("router", "router_parameters")
"""The same, of one before several servers."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that can be asked for completions.

    is_vllm: it takes vLLM's own fields. max_model_len: tokens; None where it does not say.
    gateway: what the gateway before it says of itself; None without one.
    scrape: its metrics as they were at first; None where it has none.
    """

    root: str
    model: str
    is_vllm: bool = False
    version: str | None = None
    max_model_len: int | None = None
    gateway: dict[str, Any] | None = None
    scrape: ServerMetrics | None = None

    @property
    def num_blocks(self) -> int | None:
        """KV blocks that requests can have."""
        return None if self.scrape is None else self.scrape.num_blocks

    @property
    def block_size(self) -> int | None:
        """Tokens of a KV block."""
        return None if self.scrape is None else self.scrape.block_size

    @property
    def kv_tokens(self) -> int | None:
        """Tokens that the KV cache holds."""
        if self.num_blocks is None or self.block_size is None:
            return None
        return self.num_blocks * self.block_size

    @property
    def facts(self) -> dict[str, Any]:
        """For the run folder: what it is, not where."""
        return {
            "model": self.model,
            "vllm": self.is_vllm,
            "version": self.version,
            "max_model_len": self.max_model_len,
            "gateway": self.gateway and _kept(self.gateway),
            "metrics": self.scrape is not None,
        }


def _kept(gateway: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: gateway.get(name) for name in GATEWAY_FACTS}
    return kept | {name: gateway[name] for name in ROUTER_FACTS if name in gateway}


def headers() -> dict[str, str]:
    """What every request carries: the key of the environment, if there is one."""
    key = os.environ.get(KEY)
    return {"Authorization": f"Bearer {key}"} if key else {}


def control_headers() -> dict[str, str]:
    """What a gateway is told beside: the token of the environment, if its owner gave one."""
    token = os.environ.get(CONTROL_TOKEN)
    return {CONTROL_HEADER: token} if token else {}


def probe(root: str, model: str | None) -> Server:
    """Ask the server what it is. Raises UsageError when none answers, or not as one should."""
    with httpx.Client(base_url=root, timeout=ANSWER_S, headers=headers(), trust_env=False) as http:
        found = _model(root, model, _listed(http, root))
        return Server(
            root,
            str(found["id"]),
            is_vllm=found.get("owned_by") == "vllm",
            version=_text(_get(http, "/version"), "version"),
            max_model_len=found.get("max_model_len"),
            gateway=_gateway(http, root),
            scrape=metrics_told(_get(http, "/metrics")),
        )


def _listed(http: httpx.Client, root: str) -> list[dict[str, Any]]:
    try:
        answer = http.get("/v1/models")
    except httpx.TimeoutException as error:
        raise UsageError(
            f"{root} does not answer within {ANSWER_S:g} s; is it a server that is up? "
            "Wait until it is ready, or correct --url."
        ) from error
    except httpx.HTTPError as error:
        raise NotUpError(
            f"No server answers at {root} ({error or type(error).__name__}); start one, "
            "for example with `marsbench serve`, or correct --url; --wait 600 gives it ten minutes "
            "to come up."
        ) from error
    if answer.status_code in (401, 403):
        raise UsageError(
            f"{root} refuses us ({answer.status_code}); put its key into the environment as {KEY}."
        )
    if answer.status_code >= 500:
        raise NotUpError(
            f"{root} answers {answer.status_code} when asked for its models; "
            "wait until it is healthy, or give --wait 600."
        )
    body = json_told(answer) or {}
    return [model for model in body.get("data") or () if isinstance(model, dict) and "id" in model]


def _model(root: str, name: str | None, listed: list[dict[str, Any]]) -> dict[str, Any]:
    names = [str(model["id"]) for model in listed]
    if name is not None:
        if names and name not in names:
            raise UsageError(
                f"{root} does not serve '{name}'; --served-model can be {', '.join(names)}."
            )
        return next((m for m in listed if m["id"] == name), {"id": name})
    if len(names) == 1:
        return listed[0]
    if not names:
        raise UsageError(f"{root} lists no model; name the one to ask with --served-model.")
    raise UsageError(
        f"{root} serves {len(names)} models; choose one with --served-model: {', '.join(names)}."
    )


class Asked(Protocol):
    """What is asked of a server, and for how many wall seconds it may be not there yet."""

    @property
    def root(self) -> str: ...
    @property
    def served_model(self) -> str | None: ...
    @property
    def wait(self) -> float: ...


def await_server(asked: Asked, show: bool) -> Server:
    """The server, as `probe` finds it; one that does not answer yet is waited for."""
    until = monotonic() + asked.wait
    with waiting_for(f"waiting for {asked.root}", show and asked.wait > 0):
        while True:
            try:
                return probe(asked.root, asked.served_model)
            except NotUpError:
                if monotonic() >= until:
                    raise
                sleep(AGAIN_S)


class NotUpError(UsageError):
    """Nobody answers, or a gateway before nobody does."""


def _gateway(http: httpx.Client, root: str) -> dict[str, Any] | None:
    """What a gateway says of itself. Raises UsageError when it does not say it to us."""
    try:
        answer = http.get("/marsbench/info", headers=control_headers())
    except httpx.HTTPError:
        return None
    if answer.status_code in (401, 403) and "marsbench_gateway" in answer.text:
        raise UsageError(
            f"The gateway at {root} tells us nothing ({answer.status_code}); put its token into "
            f"the environment as {CONTROL_TOKEN}."
        )
    return json_told(answer) if answer.status_code == 200 else None


def _get(http: httpx.Client, path: str) -> httpx.Response | None:
    """What many servers do not have: None then."""
    try:
        answer = http.get(path)
    except httpx.HTTPError:
        return None
    return answer if answer.status_code == 200 else None


def metrics_told(answer: httpx.Response | None) -> ServerMetrics | None:
    """What a metrics page says; None where there is none, or what came is no such page."""
    if answer is None or answer.status_code != 200:
        return None
    try:
        return read_server_metrics(answer.text)
    except ValueError:
        return None


def json_told(answer: httpx.Response | None) -> dict[str, Any] | None:
    """The JSON object of an answer; None where there is none."""
    try:
        found = None if answer is None else answer.json()
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _text(answer: httpx.Response | None, name: str) -> str | None:
    found = (json_told(answer) or {}).get(name)
    return found if isinstance(found, str) else None


def check_backend(choice: Choice, server: Server, speed: float) -> None:
    """Raises UsageError when what answers is not the backend that the run would be named after."""
    gateway, root = server.gateway, server.root
    if gateway is None:
        if choice.backend.admission is not Admission:
            raise UsageError(
                f"{choice.name} has an admission controller, which runs in a gateway, and none "
                f"answers at {root}; start `marsbench gateway --backend {choice.name} "
                f"--upstream {root}` and give its URL."
            )
        return
    there = gateway.get("backend")
    if there != choice.name:
        raise UsageError(
            f"The gateway at {root} runs '{there}', not '{choice.name}'; "
            f"give --backend {there}, or the URL of another gateway."
        )
    params = gateway.get("parameters") or {}
    own = json.loads(json.dumps(choice.params))  # as it comes over the wire: tuples are lists
    differing = sorted(n for n in {*params, *own} if params.get(n) != own.get(n))
    if differing:
        raise UsageError(
            f"The gateway's {choice.name} has other parameters ({', '.join(differing)}) than this "
            "run names; start both with the same --set."
        )
    if gateway.get("speed", speed) != speed:
        raise UsageError(
            f"The gateway at {root} runs at speed {gateway['speed']:g}, this run at {speed:g}; "
            "start both with the same --speed."
        )
