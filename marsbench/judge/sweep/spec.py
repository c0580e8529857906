"""A sweep file: what is to be combined with what, as TOML (docs/reproduction.md)."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from marsbench.core.workload.knobs import LoadOn
from marsbench.core.workload.recipe import recipe_folder
from marsbench.core.workload.tenants import TenantMix
from marsbench.errors import UsageError, unknown_name
from marsbench.hardware.schema import KvDtype
from marsbench.hardware.served import group_name
from marsbench.presets import preset_named
from marsbench.problems import first_problem
from marsbench.replicas.options import DEFAULT as DEFAULT_ROUTER
from marsbench.replicas.options import MOST as MOST_REPLICAS

_Factor = Annotated[float, Field(gt=0, lt=1e9)]
_Many = Annotated[int, Field(ge=1)]
_Setting = bool | int | float | str | list[int | float | str]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BackendEntry(_Table):
    """A backend with settings; several of one backend need a label each.

    scheduler_cls: in its place "vllm", for vLLM's own scheduler, or module:Class; its settings
        are plugins of it.
    """

    name: str = ""
    scheduler_cls: str | None = None
    label: str = ""
    set: dict[str, _Setting] = {}

    @property
    def key(self) -> str:
        """How tables and folders name it."""
        return self.label or self.scheduler_cls or self.name

    @model_validator(mode="after")
    def _one_of_name_and_class(self) -> Self:
        if bool(self.name) == bool(self.scheduler_cls):
            raise ValueError("give a backend's name, or scheduler_cls, each with what is set")
        return self

    def assignments(self) -> list[str]:
        """The settings as `--set` takes them."""
        return assigned(self.set)


def _times(warm_start: object) -> object:
    """A switch is as good as a number: true is 1."""
    return {True: 1.0, False: None}[warm_start] if isinstance(warm_start, bool) else warm_start


class WorkloadEntry(_Table):
    """A recipe (or a path to one, or to a file of sessions) at some loads or rates.

    load_on: whose GPU seconds a load counts: those of the default hardware and settings, so that
        all cells of a seed meet the same traffic, or each cell's own ("this").
    context_paging: the window that contexts are paged in.
    warm_start: how many times rate x mean time alone are in flight at the start; true is 1.
    preset: the sessions and warm start of one, where they are not given; what plays them stands
        under `engines`.
    tenants: whose sessions they are, as `--tenants` takes it.
    """

    name: str
    label: str = ""
    loads: tuple[_Factor, ...] = ()
    rates: tuple[_Factor, ...] = ()
    sessions: _Many | None = None
    load_on: LoadOn = "reference"
    arrivals: str | None = None
    tools: str | None = None
    prefixes: Annotated[int, Field(ge=0)] | None = None
    context_paging: int | None = None
    warm_start: Annotated[_Factor | None, BeforeValidator(_times)] = None
    preset: str | None = None
    tenants: str | None = None

    @field_validator("tenants")
    @classmethod
    def _shared(cls, kind: str | None) -> str | None:
        try:
            if kind is not None:
                TenantMix.parse(kind)
        except UsageError as error:
            raise ValueError(str(error)) from error
        return kind

    @field_validator("preset")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        try:
            if name is not None:
                preset_named(name)
        except UsageError as error:
            raise ValueError(str(error)) from error
        return name

    @property
    def key(self) -> str:
        """How tables and folders name it."""
        return self.label or Path(self.name).name.partition(".")[0]

    @model_validator(mode="after")
    def _one_of_loads_and_rates(self) -> Self:
        if self.loads and self.rates:
            raise ValueError("give loads or rates, not both")
        return self


class HardwareEntry(_Table):
    """A GPU with a model on it, or several that share it, or a profile of one's own."""

    gpu: str = "h200"
    model: str | None = None
    precision: str | None = None
    kv_dtype: KvDtype = "auto"
    tp: _Many | None = None
    profile: Path | None = None
    label: str = ""

    @property
    def key(self) -> str:
        """How tables and folders name it."""
        named = self.profile.stem if self.profile else self.gpu
        return self.label or group_name(named, self.tp or 1)


class EngineEntry(_Table):
    """An engine profile with some of its knobs turned, and the host that runs the tools.

    host_kv: GiB of host memory for vLLM's own KV offloading; the others as `marsbench run`'s.
    """

    profile: str = "default"
    label: str = ""
    step_budget: _Many | None = None
    max_seqs: _Many | None = None
    block_size: _Many | None = None
    kv_blocks: _Many | None = None
    reserve_full_prompt: bool | None = None
    memory_fraction: float | None = None
    tool_cores: _Many = 8
    tool_workers: _Many | None = None
    host_kv: float | Literal["off"] | None = None
    host_kv_store: str | None = None
    host_kv_eviction: str | None = None
    host_kv_cost: float | None = None

    @property
    def key(self) -> str:
        """How tables and folders name it."""
        return self.label or self.profile


class RouterEntry(_Table):
    """Who says which of several replicas gets a round, with its own settings."""

    name: str = DEFAULT_ROUTER
    label: str = ""
    set: dict[str, _Setting] = {}

    @property
    def key(self) -> str:
        """How tables and folders name it."""
        return self.label or self.name

    def assignments(self) -> list[str]:
        """The settings as `--set router.` takes them."""
        return assigned(self.set)


class Variation(_Table):
    """The same traffic on another model of the world: factors on step times and tool times."""

    label: str
    step: _Factor = 1.0
    attention: _Factor = 1.0
    weights: _Factor = 1.0
    overhead: _Factor = 1.0
    tools: _Factor = 1.0

    @property
    def key(self) -> str:
        """How tables and folders name it."""
        return self.label


class Refine(_Table):
    """Which cells get all seeds: those in which it is open who leads (refine.py).

    screen: seeds of every cell, the first ones. margin: who is as near as this to the best may
        lead: as a difference of goodput, and as a share of mean latency.
    most: backends that get more seeds at one place, the nearest to the best.
    among: labels of the backends that may lead; all where it is empty.
    always: labels of those that get all seeds everywhere, the best other with them.
    """

    screen: _Many = 1
    margin: Annotated[float, Field(gt=0, le=1)] = 0.1
    most: Annotated[int, Field(ge=2)] | None = None
    among: tuple[str, ...] = ()
    always: tuple[str, ...] = ()


def _named(field: str) -> BeforeValidator:
    """A bare name stands for a table that has only this field."""

    def widen(value: object) -> object:
        return {field: value} if isinstance(value, str) else value

    return BeforeValidator(widen)


_Backend = Annotated[BackendEntry, _named("name")]
_Workload = Annotated[WorkloadEntry, _named("name")]
_Hardware = Annotated[HardwareEntry, _named("gpu")]
_Engine = Annotated[EngineEntry, _named("profile")]
_Router = Annotated[RouterEntry, _named("name")]
_Replicas = Annotated[int, Field(ge=1, le=MOST_REPLICAS)]


class SweepFile(_Table):
    """Everything that a sweep combines.

    alphas: where goodput is taken; the first is the one that `fcfs-cap` searches its cap for.
    sessions: of every workload that does not say its own.
    refine: play the other seeds only where it is open who leads.
    parts: tables like this file; what one does not say it takes from the file, which is then its
        parts and nothing else.
    variations: the first is what the others are compared with.
    replicas, routers: how many engines, and who stands before them; one engine has no router, and
        is one cell whatever the routers are.
    """

    description: str = ""
    backends: Annotated[tuple[_Backend, ...], Field(min_length=1)]
    workloads: Annotated[tuple[_Workload, ...], Field(min_length=1)]
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (1,)
    sessions: _Many | None = None
    alphas: Annotated[tuple[Annotated[float, Field(ge=1, lt=1e9)], ...], Field(min_length=1)] = (
        3.0,
    )
    hardware: Annotated[tuple[_Hardware, ...], Field(min_length=1)] = (HardwareEntry(),)
    engines: Annotated[tuple[_Engine, ...], Field(min_length=1)] = (EngineEntry(),)
    replicas: Annotated[tuple[_Replicas, ...], Field(min_length=1)] = (1,)
    routers: Annotated[tuple[_Router, ...], Field(min_length=1)] = (RouterEntry(),)
    variations: Annotated[tuple[Variation, ...], Field(min_length=1)] = (Variation(label="base"),)
    refine: Refine | None = None
    parts: tuple[SweepFile, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _parts_take_the_rest(cls, fields: Any) -> Any:
        parts = fields.get("parts") if isinstance(fields, dict) else None
        if not (isinstance(parts, list) and parts and all(isinstance(p, dict) for p in parts)):
            return fields
        rest = {name: value for name, value in fields.items() if name != "parts"}
        return {**parts[0], **rest, "parts": [{**rest, **part} for part in parts]}

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        for kind in ("backends", "workloads", "hardware", "engines", "routers", "variations"):
            _check_names(kind, [entry.key for entry in getattr(self, kind)])
        _check_names("seeds", [str(seed) for seed in self.seeds])
        _check_names("replicas", [str(num) for num in self.replicas])
        for field in ("among", "always"):
            named = set(getattr(self.refine, field, ()))
            if unknown := named - {b.key for b in self.backends}:
                told = f"refine.{field} has {min(unknown)!r}"
                raise ValueError(f"{told}, which is none of its backends")
        return self

    @property
    def products(self) -> tuple[SweepFile, ...]:
        """Its parts, or itself: everything in each is combined with everything."""
        return self.parts or (self,)


def _check_names(kind: str, keys: Sequence[str]) -> None:
    twice = [key for key, count in Counter(keys).items() if count > 1]
    if twice:
        raise ValueError(f"{kind} has {twice[0]!r} twice; give each a label of its own")


def assigned(settings: Mapping[str, _Setting]) -> list[str]:
    """Settings as `--set` takes them, NAME=VALUE each."""
    return [f"{name}={_text(value)}" for name, value in settings.items()]


def _text(value: _Setting) -> str:
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def sweep_names() -> list[str]:
    """The sweeps that can be given by name."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def find_sweep(name_or_path: str) -> Path:
    """The file of a sweep, given by path or by name. Raises UsageError for an unknown name."""
    if name_or_path.endswith(".toml"):
        return Path(name_or_path)
    if name_or_path not in sweep_names():
        cure = " For your own, give a path that ends in .toml."
        raise unknown_name("sweep", name_or_path, sweep_names(), cure)
    return _folder() / f"{name_or_path}.toml"


def read_sweep_file(path: Path) -> SweepFile:
    """The sweep in a file. Raises UsageError naming the file and the field."""
    try:
        fields: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(
            f"Cannot read the sweep {path} ({why}); give one of {', '.join(sweep_names())}, "
            "or a TOML file like those."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    try:
        return SweepFile.model_validate(fields)
    except ValidationError as error:
        raise UsageError(f"{path}: {first_problem(error)}") from error


def _folder() -> Path:
    return recipe_folder() / "sweeps"
