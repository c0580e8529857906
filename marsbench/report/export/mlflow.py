"""A run as a run of MLflow's, in a folder that its file store reads (MLflow 3.17, file_store.py).

A folder an experiment, in it a folder a run, in that a file a parameter, metric and tag. What was
not measured has no file.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from marsbench.report.export.results import Results

EXPERIMENT = "marsbench"
ARTIFACTS = ("run.json", "summary.json")
FINISHED, FAILED, KILLED = 3, 4, 5
"""MLflow's own numbers of how a run ended."""
NO_FIGURES = ("marsbench_summary", "seed", "params", "hardware", "cautions", "cap_search")
"""Of a summary: what was asked for, and no figure."""

Steps = Sequence[tuple[int, float]]
"""A metric's values, each with its step: a lone figure has step 0."""


def write_mlflow(results: Results, run: Path, folder: Path) -> Path:
    """Adds the run to the folder, or puts it in its own place there. Returns that place.

    Raises OSError. The run's id follows from what it is and measured, so that exporting it again
    gives the same files.
    """
    experiment, id_ = experiment_id(), run_id(results)
    home = folder / experiment
    home.mkdir(parents=True, exist_ok=True)
    _write(home / "meta.yaml", _yaml(_experiment(home, experiment)))
    place, draft = home / id_, folder / f".{id_}.part"
    shutil.rmtree(draft, ignore_errors=True)
    for name, text in _files(results, place, experiment, id_):
        _write(draft / name, text)
    for name in ARTIFACTS:
        if (run / name).is_file():
            _write(draft / "artifacts" / name, (run / name).read_text(encoding="utf-8"))
    shutil.rmtree(place, ignore_errors=True)
    draft.rename(place)
    return place


def experiment_id() -> str:
    """Eighteen digits, as MLflow's own."""
    return str(10**17 + int(_digest(EXPERIMENT), 16) % (9 * 10**17))


def run_id(results: Results) -> str:
    """Of a run by its name, inputs and figures."""
    told = {"name": results.name, "inputs": parameters(results), "figures": results.summary}
    return _digest(json.dumps(told, sort_keys=True, default=str))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _files(results: Results, place: Path, experiment: str, id_: str) -> Iterator[tuple[str, str]]:
    """Every file but the artifacts, by its path in the run's folder."""
    began, ended = _instants(results)
    meta: dict[str, Any] = {
        "artifact_uri": (place / "artifacts").resolve().as_uri(),
        "end_time": ended,
        "entry_point_name": "",
        "experiment_id": experiment,
        "lifecycle_stage": "active",
        "run_id": id_,
        "run_name": results.name,
        "source_name": "",
        "source_type": 4,
        "source_version": "",
        "start_time": began or 0,
        "status": _status(results),
        "tags": [],
        "user_id": EXPERIMENT,
    }
    yield "meta.yaml", _yaml(meta)
    for name, value in parameters(results).items():
        yield f"params/{name}", value
    for name, steps in metrics(results).items():
        lines = [f"{ended or 0} {value!r} {step}" for step, value in steps]
        yield f"metrics/{name}", "\n".join(lines) + "\n"
    for name, value in _tags(results).items():
        yield f"tags/{name}", value


def parameters(results: Results) -> dict[str, str]:
    """What was asked for, by name: "backend", "params.beta", "settings.block_size"."""
    config = results.config
    asked = {
        "backend": config.backend,
        "engine": config.engine,
        "seed": config.seed,
        "workload": {"name": config.workload, "hash": config.workload_hash, **config.workload_meta},
        "params": config.params,
        "hardware": config.hardware,
        "settings": config.settings,
        "code": config.code.label,
    }
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in _leaves(asked)
    }


def metrics(results: Results) -> dict[str, Steps]:
    """Every figure of the summary, by name: "latency.p99", "goodput.3.share"."""
    figures = {name: value for name, value in results.summary.items() if name not in NO_FIGURES}
    found: dict[str, list[tuple[int, float]]] = {}
    for name, step, value in _numbers(figures):
        found.setdefault(name, []).append((step, value))
    return dict(found)


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """What is known, by its path."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{_name(key)}.")
        elif value is not None:
            yield f"{above}{_name(key)}", value


def _numbers(tree: Mapping[str, Any]) -> Iterator[tuple[str, int, float]]:
    """Name, step and value of every number; a list's are the steps of one name."""
    for name, leaf in _leaves(tree):
        for step, value in enumerate(leaf if isinstance(leaf, list | tuple) else [leaf]):
            inner = value if isinstance(value, Mapping) else {"": value}
            for below, number in _leaves(inner):
                if isinstance(number, int | float) and not isinstance(number, bool):
                    yield f"{name}.{below}".rstrip("."), step, float(number)


def _name(key: str) -> str:
    """A key of signs that MLflow takes; a slash would be a folder."""
    return "".join(char if char.isascii() and (char.isalnum() or char in "_-.") else "_"
                   for char in key)  # fmt: skip


def note(results: Results) -> str:
    """Whether it is valid, why not, and its cautions: a line each."""
    facts = results.facts
    notes = [*facts["reasons"], *(f"{one['code']}: {one['text']}" for one in _cautions(results))]
    valid = "valid" if facts["valid"] else "not valid"
    return "\n".join(f"- {line}" for line in [valid, *notes])


def _tags(results: Results) -> dict[str, str]:
    facts = results.facts
    return {
        "mlflow.runName": results.name,
        "mlflow.source.name": EXPERIMENT,
        "mlflow.note.content": note(results),
        "marsbench.valid": json.dumps(facts["valid"]),
        "marsbench.cautions": ", ".join(facts["cautions"]),
    }


def _cautions(results: Results) -> Sequence[Mapping[str, Any]]:
    return results.summary["cautions"]


def _status(results: Results) -> int:
    """A run without its wall facts was killed."""
    if not results.wall:
        return KILLED
    return FINISHED if results.facts["valid"] else FAILED


def _instants(results: Results) -> tuple[int | None, int | None]:
    """Milliseconds of the time of day at which it began and ended, where that is known."""
    began, ended = (results.wall.get(name) for name in ("started", "ended"))
    return _ms(began), _ms(ended)


def _ms(instant: str | None) -> int | None:
    return None if instant is None else round(datetime.fromisoformat(instant).timestamp() * 1000)


def _experiment(home: Path, experiment: str) -> dict[str, Any]:
    return {
        "artifact_location": home.resolve().as_uri(),
        "creation_time": 0,
        "experiment_id": experiment,
        "last_update_time": 0,
        "lifecycle_stage": "active",
        "name": EXPERIMENT,
    }


def _yaml(fields: Mapping[str, Any]) -> str:
    """JSON's values are YAML's."""
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in fields.items())


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
