"""Everything that was asked of a run: from this, the same run can be made again."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from marsbench.core.metrics.summary import DEFAULT_ALPHAS
from marsbench.errors import UsageError
from marsbench.problems import json_problem
from marsbench.runs.cautions import Caution, CautionNote
from marsbench.runs.provenance import Provenance

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """A run's inputs, resolved: no default is left to be filled in. All values are JSON.

    backend, params: what decides, and its parameters. engine: what plays it ("sim", "live", …).
    workload, workload_hash, workload_meta: a name for people, the content's hash, how it was made.
    offered_sessions: sessions that should arrive, sub-agents not counted.
    hardware, settings: the GPU and model with their parameters; the engine's options.
    asked: the options of `marsbench run` that made it, as typed; none where a sweep did, and in
        folders of a marsbench that did not keep them.
    block_size (tokens), total_blocks, unmeasured: what the metrics need to know of the engine,
        as in metrics.summary.Scale.
    cautions: what is known before the run begins.
    """

    backend: str
    workload: str
    workload_hash: str
    params: Mapping[str, Any] = field(default_factory=dict)
    engine: str = "sim"
    seed: int | None = None
    offered_sessions: int | None = None
    workload_meta: Mapping[str, Any] = field(default_factory=dict)
    hardware: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    alphas: tuple[float, ...] = DEFAULT_ALPHAS
    asked: tuple[str, ...] = ()
    block_size: int | None = None
    total_blocks: int | None = None
    unmeasured: tuple[str, ...] = ()
    cautions: tuple[CautionNote, ...] = ()
    code: Provenance = field(default_factory=Provenance.here)

    def to_json(self) -> str:
        """The text of run.json. Raises TypeError or ValueError for a value that is not JSON."""
        record = {"marsbench_run": FORMAT, **dataclasses.asdict(self)}
        return json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = "run.json") -> RunConfig:
        """The configuration of a run.json. Raises UsageError naming `source` when it is none."""
        try:
            record = json.loads(text)
            if not isinstance(record, dict):
                raise UsageError(
                    f"{source} holds no JSON object, so it is not a run's configuration; the run "
                    "folder was changed by hand."
                )
            record.setdefault("asked", ())
            if record.pop("marsbench_run") != FORMAT:
                raise UsageError(
                    f"{source} has another format than this marsbench reads ({FORMAT}); "
                    "read it with the version that wrote it."
                )
            code = Provenance(**record.pop("code"))
            lists = ("alphas", "asked", "unmeasured", "cautions")
            return cls(**{**record, **{name: tuple(record[name]) for name in lists}, "code": code})
        except (json.JSONDecodeError, RecursionError) as error:
            said = f"{source} is not a run's configuration: it {json_problem(error)}"
            raise UsageError(f"{said}; the run folder was changed by hand.") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(f"{source} is not a run's configuration: {error}") from error

    def known_cautions(self) -> list[CautionNote]:
        """The cautions that hold whatever comes out."""
        notes = list(self.cautions)
        if self.code.dirty:
            notes.append(Caution.DIRTY_TREE.note(commit=(self.code.commit or "")[:7]))
        return notes

    def folder_name(self, today: date) -> str:
        """Date, code, workload and backend: "2026-11-22_3f2a91c_ilr-1_mars"."""
        parts = (today.isoformat(), self.code.label, self.workload, self.backend)
        return "_".join(_plain(part) for part in parts)


def _plain(text: str) -> str:
    """The text with everything that is awkward in a file name turned into a dash."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", text).strip("-.") or "unnamed"
