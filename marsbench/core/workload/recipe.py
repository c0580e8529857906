"""Recipes: what sessions of a workload look like, as TOML (docs/workloads.md).

A recipe takes what it does not say itself from the shared file that it names as `common`.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from marsbench.core.workload.arrivals import Arrivals
from marsbench.core.workload.distributions import Append, LogNormals
from marsbench.errors import UsageError, unknown_name
from marsbench.problems import Strict, first_problem

Quantity = Literal[
    "first_prompt_tokens", "rounds", "append_tokens", "user_append_tokens", "output_tokens",
    "tool_s", "user_s", "peak_tokens", "cut_to_tokens", "subagents", "branches", "cpu_s",
    "interarrival_s",
]  # fmt: skip
"""What a target can be set for; docs/workloads.md says what each is taken over."""

SUBAGENT = "subagent"
"""The share of a tool mix that is no class of tools but a child session."""

BRANCH = "branch"
"""The name of a call that starts a child session which begins with its parent's context."""

_Share = Annotated[float, Field(ge=0, le=1)]
_Tokens = Annotated[int, Field(ge=0)]
_Positive = Annotated[float, Field(gt=0)]

SHORTEST_S = 0.001
"""The shortest call of a tool mix that does not say its own."""


class Target(Strict):
    """Quantiles that a generated workload must meet, each within a relative tolerance."""

    p10: float | None = None
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    within: Annotated[float, Field(gt=0, lt=1)]

    def quantiles(self) -> Iterator[tuple[float, float]]:
        """Pairs of share and target, for example (0.5, 78000.0)."""
        known = ((0.1, self.p10), (0.5, self.p50), (0.9, self.p90), (0.99, self.p99))
        for share, value in known:
            if value is not None:
                yield share, value


class Defaults(Strict):
    """The knobs of a recipe when nobody turns them; one of rate and load."""

    sessions: Annotated[int, Field(ge=1)] = 30
    rate: Annotated[float, Field(gt=0)] | None = None
    load: Annotated[float, Field(gt=0)] | None = None
    arrivals: str = "poisson"
    tools: str = "autonomous"
    prefixes: Annotated[int, Field(ge=0)] = 50
    seed: Annotated[int, Field(ge=0)] = 1

    @field_validator("arrivals")
    @classmethod
    def _known(cls, text: str) -> str:
        try:
            Arrivals.parse(text)
        except UsageError as error:
            raise ValueError(str(error)) from error
        return text

    @model_validator(mode="after")
    def _one_of_rate_and_load(self) -> Self:
        if (self.rate is None) == (self.load is None):
            raise ValueError("give one of rate (sessions per second) and load")
        return self


class ContextShape(Strict):
    """The longest context, output included, and what happens to a session that would pass it."""

    max_tokens: Annotated[int, Field(ge=2)]
    on_overflow: Literal["stop", "compact"]
    compact_to: LogNormals | None = None

    @model_validator(mode="after")
    def _compact_to_what(self) -> Self:
        if (self.on_overflow == "compact") != (self.compact_to is not None):
            raise ValueError('compact_to and on_overflow = "compact" go together')
        if self.compact_to is not None and self.compact_to.clip[1] >= self.max_tokens:
            raise ValueError("compact_to must stay below max_tokens")
        return self


class Prefix(Strict):
    """Tokens that all sessions of one variant share, at most `max_share` of a first prompt."""

    tokens: _Tokens
    max_share: _Share


class Turns(Strict):
    """What a human does at the end of a turn: a message in tokens after a gap in seconds."""

    message: LogNormals
    gap_s: LogNormals


class ToolClass(Strict):
    """How long a call of this class takes alone, and how many cores it keeps busy meanwhile."""

    kind: Literal["cpu", "wait"]
    cores: Annotated[int, Field(ge=1)] = 1
    w: tuple[float, ...]
    mu: tuple[float, ...]
    sigma: tuple[float, ...]

    @model_validator(mode="after")
    def _is_a_distribution(self) -> Self:
        # Held to the rules of any other mixture; the clip is that of all tools.
        LogNormals(w=self.w, mu=self.mu, sigma=self.sigma, clip=(0, 1))
        if self.kind == "wait" and self.cores > 1:
            raise ValueError("a class of kind 'wait' burns no cores: leave them out")
        return self


class ToolMix(Strict):
    """Shares of the classes, and how often a turn ends with a human instead of a tool.

    clip: shortest and longest call in seconds, where it is not that of all tools.
    """

    p_turn_end: _Share
    shares: dict[str, _Share]
    clip: tuple[_Positive, float] | None = None
    targets: Target | None = None

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        # Published shares are rounded, and their smallest classes left out.
        total = math.fsum(self.shares.values())
        if (self.shares or self.p_turn_end < 1) and abs(total - 1) > 0.02:
            raise ValueError(f"the shares must add up to 1, not {total:g}")
        if self.clip is not None and self.clip[0] >= self.clip[1]:
            raise ValueError(f"clip must be [shortest, longest], not {list(self.clip)}")
        return self


class ToolCatalog(Strict):
    """Tool classes and the mixes made of them."""

    timeout_s: Annotated[float, Field(gt=0)]
    classes: dict[str, ToolClass]
    mixes: dict[str, ToolMix]

    @model_validator(mode="after")
    def _known_classes(self) -> Self:
        known = {*self.classes, SUBAGENT}
        for name, mix in self.mixes.items():
            for tool in mix.shares:
                if tool not in known:
                    raise ValueError(f"mix {name!r} has a share of the unknown class {tool!r}")
        return self

    def clip(self, mix: ToolMix) -> tuple[float, float]:
        """The shortest and the longest call of a mix, in seconds."""
        return (SHORTEST_S, self.timeout_s) if mix.clip is None else mix.clip


class Subagent(Strict):
    """A child session that a tool call starts and the parent waits for.

    forks: it begins with its parent's context, and all of its own tokens come behind that.
    output: tokens generated a round, where they are not the recipe's.
    """

    initial_tokens: LogNormals
    rounds: LogNormals
    append: Append
    prefix_tokens: _Tokens = 0
    max_tokens: Annotated[int, Field(ge=2)]
    shares: dict[str, _Share] = Field(default_factory=dict)
    forks: bool = False
    output: LogNormals | None = None
    fan_out: FanOut | None = None

    @model_validator(mode="after")
    def _one_beginning(self) -> Self:
        if self.forks and self.prefix_tokens:
            raise ValueError("what forks begins with its parent's context: leave out prefix_tokens")
        return self


class FanOut(Strict):
    """Child sessions at the same time after every `every`th round, instead of a tool.

    branches: how many. answer: tokens that each of them adds to the next prompt. agent: what they
    are, where they are not the recipe's sub-agents.
    """

    every: Annotated[int, Field(ge=1)]
    branches: LogNormals
    answer: LogNormals
    agent: Subagent | None = None

    @model_validator(mode="after")
    def _to_somebody(self) -> Self:
        if self.branches.clip[0] < 1:
            raise ValueError("branches must be at least 1 (clip)")
        return self


class Recipe(Strict):
    """Everything that sessions of a workload are drawn from."""

    name: str
    description: str
    source: str
    defaults: Defaults
    initial_tokens: LogNormals
    rounds: LogNormals
    append: Append
    output: LogNormals
    context: ContextShape
    prefix: Prefix
    turns: Turns
    append_gap_correlation: Annotated[float, Field(gt=-1, lt=1)]
    tools: ToolCatalog
    subagent: Subagent | None = None
    fan_out: FanOut | None = None
    targets: dict[Quantity, Target]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.defaults.tools not in self.tools.mixes:
            raise ValueError(f"defaults.tools: there is no tool mix {self.defaults.tools!r}")
        if self.initial_tokens.clip[1] >= self.context.max_tokens:
            raise ValueError("initial_tokens must stay below context.max_tokens")
        if min(self.initial_tokens.clip[0], self.rounds.clip[0]) < 1:
            raise ValueError("initial_tokens and rounds must be at least 1 (clip)")
        for agent in self._agents():
            if agent is None:
                raise ValueError("fan_out needs an agent of its own, or a [subagent]")
            if not agent.shares.keys() <= self.tools.classes.keys():
                raise ValueError("subagent.shares must name classes of [tools.classes]")
            if min(agent.initial_tokens.clip[0], agent.rounds.clip[0]) < 1:
                raise ValueError("a sub-agent's initial_tokens and rounds are at least 1 (clip)")
        if self.output.clip[0] < 1:
            raise ValueError("output must be at least 1 token (clip)")
        return self

    def _agents(self) -> Iterator[Subagent | None]:
        """What starts in a session, at any depth; None for a fan-out to nobody."""
        if self.subagent is not None:
            yield self.subagent
        fan_out = self.fan_out
        while fan_out is not None:
            agent = fan_out.agent or self.subagent
            yield agent
            fan_out = None if agent is None or agent is self.subagent else agent.fan_out

    def mix(self, name: str) -> ToolMix:
        """The tool mix of this name. Raises UsageError."""
        if name not in self.tools.mixes:
            raise unknown_name("tool mix", name, self.tools.mixes)
        return self.tools.mixes[name]

    def all_targets(self, mix: str) -> dict[Quantity, Target]:
        """The recipe's own targets and those of the tool mix."""
        found = self.mix(mix).targets
        return dict(self.targets) if found is None else {**self.targets, "tool_s": found}


def recipe_folder() -> Path:
    """Where the recipes are: inside the installed package, or `workloads/` of the repository."""
    installed = Path(__file__).parent / "recipes"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "workloads"


def recipe_names() -> list[str]:
    """The recipes that can be given by name."""
    return sorted(path.stem for path in recipe_folder().glob("*.toml"))


def load_recipe(name_or_path: str) -> Recipe:
    """The recipe of this name or in this file. Raises UsageError."""
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if name_or_path not in recipe_names():
            cure = " For your own, give a path that ends in .toml."
            raise unknown_name("recipe", name_or_path, recipe_names(), cure)
        path = recipe_folder() / f"{name_or_path}.toml"
    fields = _with_common(path, _read_toml(path))
    try:
        return Recipe.model_validate({"name": path.stem, **fields})
    except ValidationError as error:
        raise UsageError(f"{path}: {first_problem(error)}") from error


def _with_common(path: Path, fields: Mapping[str, Any]) -> dict[str, Any]:
    own = {key: value for key, value in fields.items() if key != "common"}
    if "common" not in fields:
        return own
    file = f"common/{fields['common']}.toml"
    beside = path.parent / file
    return {**_read_toml(beside if beside.is_file() else recipe_folder() / file), **own}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(
            f"Cannot read the recipe {path} ({why}); give one of {', '.join(recipe_names())}, "
            f"or a TOML file like those."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
