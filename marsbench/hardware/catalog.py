"""The models, GPUs and profiles that ship with marsbench, and a user's own profile file."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from marsbench.errors import UsageError, unknown_name
from marsbench.hardware.hf_config import read_config
from marsbench.hardware.schema import MODEL_TAGS, Gpu, ProfileFile
from marsbench.hardware.shape import ModelShape
from marsbench.problems import first_problem

T = TypeVar("T")


@cache
def load_models() -> dict[str, ModelShape]:
    """Model shapes by name."""
    return _packaged("models.toml", TypeAdapter(dict[str, ModelShape]))


@cache
def load_gpus() -> dict[str, Gpu]:
    """GPUs by name."""
    return _packaged("gpus.toml", TypeAdapter(dict[str, Gpu]))


@cache
def load_profiles() -> dict[str, ProfileFile]:
    """Whole profiles by name: hardware that serves one model only."""
    files = sorted(_data().joinpath("profiles").iterdir(), key=lambda file: file.name)
    return {
        file.name.removesuffix(".toml"): ProfileFile.model_validate(
            tomllib.loads(file.read_text("utf-8"))
        )
        for file in files
        if file.name.endswith(".toml")
    }


def named_model(name: str) -> ModelShape:
    models = load_models()
    if name not in models:
        cure = " For another, give the path of its config.json."
        raise unknown_name("model", name, models, cure)
    return models[name]


def found_model(name: str) -> tuple[str, ModelShape]:
    """A shape by its name, or of a config.json by its path, with what results call it."""
    if not is_config(name):
        return name, named_model(name)
    path = Path(name)
    return read_config(path / "config.json" if path.is_dir() else path)


def is_config(name: str) -> bool:
    """Whether that is the path of a config.json, or of its folder; a model that ships is not."""
    path = Path(name)
    return name not in load_models() and (path.suffix == ".json" or path.is_dir())


def named_gpu(name: str) -> Gpu:
    gpus = load_gpus()
    if name not in gpus:
        cure = " For your own, write a profile: docs/hardware.md."
        raise unknown_name("GPU", name, [*gpus, *load_profiles()], cure)
    return gpus[name]


def read_profile(path: Path) -> ProfileFile:
    """A user's TOML profile; a wrong one is a UsageError that names the field."""
    try:
        return ProfileFile.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise UsageError(f"Cannot read the profile {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}.") from error
    except ValidationError as error:
        problem = first_problem(error, tags=MODEL_TAGS)
        raise UsageError(
            f"{path}: {problem}; docs/hardware.md has a profile to start from."
        ) from error


def _data() -> Traversable:
    return resources.files("marsbench.hardware").joinpath("data")


def _packaged(name: str, schema: TypeAdapter[T]) -> T:
    return schema.validate_python(tomllib.loads(_data().joinpath(name).read_text("utf-8")))
