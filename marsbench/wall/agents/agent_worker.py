"""Real agents, each in a process of its own: the one file that imports OpenHands.

It runs in the environment that `make openhands` builds (Python 3.12 or newer), by its path, and
imports the standard library and OpenHands alone. It imports OpenHands once, then forks a process
for every agent. Jobs come in as lines of JSON, what happens goes out as lines of JSON, with times
of the machine's monotonic clock, which all its processes share.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import json
import os
import select
import signal
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic, sleep  # noqa: TID251  (the harness's clock is in the other environment)
from typing import Any

# Read by litellm and OpenHands when they are imported; docs/openhands.md says what each is for.
QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENHANDS_SUPPRESS_BANNER": "1",
    "DO_NOT_TRACK": "1",
    "LOG_LEVEL": "ERROR",
    "OH_TERMINAL_PROCESS_PRIORITY": "none",
    "TOKENIZERS_PARALLELISM": "false",
}
LINE_LIMIT = 4000  # bytes that a pipe takes in one piece from several writers (PIPE_BUF is 4,096)
REASON_LIMIT = 800
TICK_S = 0.1
FINISH = "finish"


class Channel:
    """Lines of JSON to the harness; agents share it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def say(self, kind: str, **facts: Any) -> None:
        """One line, written at once. The time is now unless `at` is given."""
        line = json.dumps({"kind": kind, "at": monotonic(), **facts}).encode() + b"\n"
        if len(line) > LINE_LIMIT:
            raise ValueError(f"a line of {len(line)} bytes could be torn: {line[:80]!r}")
        os.write(self._descriptor, line)


class NoNetwork:
    """Refuses, and remembers, every connection but to one port of this machine while it is on."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.port: int | None = None
        self._on = True
        sys.addaudithook(self._check)

    def off(self) -> None:
        """Lets everything pass from now on: the model's server may be anywhere."""
        self._on = False

    def _check(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on or event not in {"socket.connect", "socket.getaddrinfo"}:
            return
        target = arguments[1] if event == "socket.connect" else arguments[:2]
        if isinstance(target, (str, bytes)) or target[:2] == ("127.0.0.1", self.port):
            return
        self.refused.append(f"{event} {target}")
        raise PermissionError(f"no network before the first agent: {event} {target}")


class CallTimer:
    """Says when each round and tool call of one agent began and ended."""

    def __init__(self, channel: Channel, session: str) -> None:
        self._say = channel.say
        self._session = session
        self._lock = threading.Lock()
        self._round = -1
        self._calls = 0

    def llm_call(self, call: Callable[[], Any]) -> Any:
        """Makes a model call and says what it took, in seconds and tokens."""
        with self._lock:
            self._round += 1
            self._calls = 0
        self._say("llm_start", session=self._session, round=self._round)
        answer = call()
        self._say("llm_end", session=self._session, round=self._round, **_usage(answer))
        return answer

    def tool_call(self, name: str, call: Callable[[], Any]) -> Any:
        """Runs a tool and says how long it took; `finish` is no work and not told."""
        if name == FINISH:
            return call()
        with self._lock:
            number, self._calls = self._calls, self._calls + 1
        facts = {"session": self._session, "round": self._round, "call": number, "name": name}
        self._say("tool_start", **facts)
        try:
            return call()
        finally:
            self._say("tool_end", **facts)


def _usage(answer: Any) -> dict[str, int | None]:
    """Tokens as the server counted them; cached ones are None where it did not say.

    Raises ValueError when it counted none: nothing is guessed, the session fails.
    """
    usage = getattr(answer.raw_response, "usage", None)
    prompt, output = (getattr(usage, n, None) for n in ("prompt_tokens", "completion_tokens"))
    if prompt is None or output is None:
        raise ValueError("the server's answer does not say how many tokens it had")
    details = getattr(usage, "prompt_tokens_details", None)
    cached = getattr(details, "cached_tokens", None)
    return {"prompt_tokens": prompt, "output_tokens": output, "cached_tokens": cached}


def prepare_environment() -> None:
    """Everything that must be set before OpenHands is imported."""
    os.environ.update(QUIET)
    litellm = importlib.util.find_spec("litellm")
    if litellm is not None and litellm.origin is not None:
        tokenizers = Path(litellm.origin).parent / "litellm_core_utils" / "tokenizers"
        os.environ["TIKTOKEN_CACHE_DIR"] = str(tokenizers)


def measured_llm(recorder: CallTimer, **options: Any) -> Any:
    """An OpenHands LLM whose calls are timed."""
    from openhands.sdk import LLM

    class MeasuredLLM(LLM):
        def completion(self, *args: Any, **kwargs: Any) -> Any:
            return recorder.llm_call(lambda: super(MeasuredLLM, self).completion(*args, **kwargs))

    return MeasuredLLM(**options)


def llm_options(job: dict[str, Any]) -> dict[str, Any]:
    """How the model is asked: no retries, no streaming, and the session's id three times over."""
    session = job["session"]
    return {
        "model": f"hosted_vllm/{job['model']}",
        "base_url": job["url"],
        "api_key": job["api_key"],
        "usage_id": "agent",
        "num_retries": 0,
        "timeout": int(job["time_limit_s"]) + 1,
        "temperature": 0.0,
        "max_input_tokens": job["max_input_tokens"],
        "max_output_tokens": job["max_output_tokens"],
        # The first message carries a digest of the repository, longer than the default of 30,000.
        "max_message_chars": 100_000_000,
        # Otherwise "high" is sent and vLLM turns thinking on. SDK 1.34 knows the first of these
        # alone, and drops the temperature of a model that could reason: it is in the body as well.
        "reasoning_effort": None,
        "capability_overrides": {"supports_reasoning_effort": False},
        "extra_headers": {"X-Session-ID": session, "X-Task-ID": job["task"]},
        "litellm_extra_body": {
            "session_id": session,
            "vllm_xargs": {"session_id": session},
            "temperature": 0.0,
        },
        "openrouter_site_url": "",
        "openrouter_app_name": "",
    }


def time_tools(agent: Any, recorder: CallTimer) -> None:
    """Wraps every tool's executor, so that a call's start and end are exact."""
    for name, tool in agent.tools_map.items():
        if tool.executor is not None:
            _time_executor(name, tool.executor, recorder)


def _time_executor(name: str, executor: Any, recorder: CallTimer) -> None:
    plain = type(executor)

    def timed(self: Any, *args: Any, **kwargs: Any) -> Any:
        return recorder.tool_call(name, lambda: plain.__call__(self, *args, **kwargs))

    executor.__class__ = type(plain.__name__, (plain,), {"__call__": timed})


def converse(job: dict[str, Any], recorder: CallTimer) -> str | None:
    """Runs one agent to its end; returns why it did not finish, or None when it did."""
    from openhands.sdk import Agent, Conversation, LocalWorkspace, Tool
    from openhands.sdk.conversation.exceptions import ConversationRunError
    from openhands.tools.file_editor import FileEditorTool
    from openhands.tools.terminal import TerminalTool

    terminal = Tool(name=TerminalTool.name, params={"terminal_type": "subprocess"})
    llm = measured_llm(recorder, **llm_options(job))
    agent = Agent(
        llm=llm,
        tools=[terminal, Tool(name=FileEditorTool.name)],
        system_prompt_kwargs={"cli_mode": True},
    )
    conversation = Conversation(
        agent=agent,
        workspace=LocalWorkspace(working_dir=job["workspace"]),
        conversation_id=uuid.UUID(job["session"]),
        persistence_dir=job["persistence"],
        visualizer=None,
        max_iteration_per_run=job["max_rounds"],
        stuck_detection=False,
    )
    with contextlib.closing(conversation):
        conversation.send_message(job["prompt"])
        time_tools(agent, recorder)
        try:
            conversation.run()
        except ConversationRunError as error:
            return str(error.original_exception)
        return _why_not_finished(conversation, job["max_rounds"])


def _why_not_finished(conversation: Any, max_rounds: int) -> str | None:
    status = conversation.state.execution_status.value
    if status == "finished":
        return None
    return f"the agent stopped with status {status} (it may take {max_rounds} rounds)"


def play(job: dict[str, Any], channel: Channel) -> None:
    """One agent from its start to its end, in a process of its own."""
    session = job["session"]
    channel.say("begin", session=session)
    try:
        reason = converse(job, CallTimer(channel, session))
    except Exception as error:  # whatever it is, this session failed by it and no other
        reason = f"{type(error).__name__}: {error}"
    channel.say("end", session=session, reason=None if reason is None else reason[:REASON_LIMIT])


class WarmUpModel(BaseHTTPRequestHandler):
    """A model that asks for one command and then finishes."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def do_POST(self) -> None:
        """Answers a chat request."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = any(message["role"] == "tool" for message in body["messages"])
        name, arguments = (FINISH, {"message": "x"}) if asked else ("terminal", {"command": "true"})
        function = {"name": name, "arguments": json.dumps({**arguments, "security_risk": "LOW"})}
        message = {
            "role": "assistant",
            "content": "x",
            "tool_calls": [{"id": f"call_{asked:d}", "type": "function", "function": function}],
        }
        choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        whole = {"id": "x", "object": "chat.completion", "created": 0, "model": "x"}
        text = json.dumps({**whole, "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Connection", "close")  # else its thread waits for the next request
        self.end_headers()
        self.wfile.write(text)


@contextlib.contextmanager
def no_pool_threads() -> Iterator[None]:
    """Lets thread pools work in the caller's thread.

    A fork copies a pool but not its threads, and the copy would wait for them for good.
    """

    def submit(_: Any, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*args, **kwargs))
        except Exception as error:  # a future carries any error to whoever asks for its result
            future.set_exception(error)
        return future

    plain, ThreadPoolExecutor.submit = ThreadPoolExecutor.submit, submit  # type: ignore[method-assign]
    try:
        yield
    finally:
        ThreadPoolExecutor.submit = plain  # type: ignore[method-assign]


def warm_up(network: NoNetwork) -> str | None:
    """Plays one agent here, so that what is loaded on first use is loaded before any fork.

    Returns why that agent failed, or None.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), WarmUpModel)
    network.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    silent = Channel(os.open(os.devnull, os.O_WRONLY))
    session = str(uuid.uuid4())
    try:
        with tempfile.TemporaryDirectory() as folder, no_pool_threads():
            job = {
                "session": session, "task": "warm-up", "prompt": "x", "workspace": folder,
                "persistence": None, "model": "x", "url": f"http://127.0.0.1:{network.port}/v1",
                "api_key": "x", "time_limit_s": 60, "max_rounds": 4, "max_input_tokens": 100_000,
                "max_output_tokens": 100,
            }  # fmt: skip
            return converse(job, CallTimer(silent, session))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Launcher:
    """Forks an agent for every job, kills those that are to be killed, says which ended."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._agents: dict[int, str] = {}
        self._unread = b""

    def serve(self) -> None:
        """Goes on until the harness closes the pipe; then no agent is left."""
        try:
            while self._listen():
                self._reap()
        finally:
            for session in list(self._agents.values()):
                self._kill(session)

    def _listen(self) -> bool:
        readable, _, _ = select.select([0], [], [], TICK_S)
        if not readable:
            return True
        piece = os.read(0, 1 << 20)
        *lines, self._unread = (self._unread + piece).split(b"\n")
        for line in lines:
            self._obey(json.loads(line))
        return bool(piece)

    def _obey(self, order: dict[str, Any]) -> None:
        if order["do"] == "kill":
            self._kill(order["session"])
        else:
            self._start(order["job"])

    def _start(self, job: dict[str, Any]) -> None:
        pid = os.fork()
        if pid:
            self._agents[pid] = job["session"]
            return
        code = 1
        try:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            play(job, self._channel)
            code = 0
        finally:
            # No clean-up of the launcher's: it goes on, and its buffers are its own.
            os._exit(code)

    def _kill(self, session: str) -> None:
        """Kills the agent with all that it started, terminals in sessions of their own included."""
        import psutil

        for pid in [pid for pid, name in self._agents.items() if name == session]:
            with contextlib.suppress(psutil.NoSuchProcess):
                family = psutil.Process(pid).children(recursive=True)
                for member in (psutil.Process(pid), *family):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        member.send_signal(signal.SIGKILL)

    def _reap(self) -> None:
        while self._agents:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            session = self._agents.pop(pid, None)
            if session is not None:
                code = os.waitstatus_to_exitcode(status)
                self._channel.say("exit", session=session, code=code)


def main() -> None:
    """Imports OpenHands, says so, and serves until the harness goes."""
    channel = Channel(os.dup(1))
    os.dup2(2, 1)  # what a library prints must not land between the lines
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare_environment()
    network = NoNetwork()
    import psutil  # noqa: F401  (a dependency of OpenHands; before the forks, like all else)
    from openhands.sdk import __version__

    problem = warm_up(network)
    network.off()
    _wait_for_threads()
    gc.collect()
    gc.freeze()
    threads = [thread.name for thread in threading.enumerate()[1:]]
    channel.say(
        "ready", sdk=__version__, refused=network.refused[:5], problem=problem, threads=threads[:5]
    )
    Launcher(channel).serve()


def _wait_for_threads() -> None:
    """A forked process has one thread: none other may be in the middle of something."""
    until = monotonic() + 5
    while threading.active_count() > 1 and monotonic() < until:
        sleep(0.02)


if __name__ == "__main__":
    main()
