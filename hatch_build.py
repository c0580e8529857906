"""Builds the compiled block loops into the wheel where a C compiler is; a pure wheel elsewhere."""

from __future__ import annotations

import hashlib
import os
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = "marsbench/shortcuts/blocks.c"


class CompiledLoops(BuildHookInterface[Any]):
    """Puts `_blocks` beside its source: an editable install reads it there, a wheel carries it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        source = Path(self.root) / SOURCE
        built = source.with_name(f"_blocks{sysconfig.get_config_var('EXT_SUFFIX')}")
        if not is_of(built, source) and not compiled(source, built):
            self.app.display_warning(f"No C compiler: {SOURCE} is left to Python's own loops.")
            return
        if version != "editable":
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
            build_data["force_include"][str(built)] = f"{Path(SOURCE).parent}/{built.name}"


def sha256(source: Path) -> str:
    return hashlib.sha256(source.read_bytes()).hexdigest()


def is_of(built: Path, source: Path) -> bool:
    """Whether that file was built from this source: it carries the source's hash."""
    return built.is_file() and sha256(source).encode() in built.read_bytes()


def compiled(source: Path, built: Path) -> bool:
    """Compile, and put the whole file in its place at once; False where no compiler can."""
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext
    from setuptools.errors import BaseError, CompileError, LinkError

    extension = Extension(
        "_blocks", [str(source)], define_macros=[("SOURCE_SHA256", f'"{sha256(source)}"')]
    )
    with tempfile.TemporaryDirectory() as folder:
        command = build_ext(Distribution({"ext_modules": [extension]}))
        command.build_lib, command.build_temp = folder, folder
        command.ensure_finalized()
        try:
            command.run()
        except (BaseError, CompileError, LinkError, OSError):
            return False
        whole = built.with_name(f".{built.name}.{os.getpid()}")
        whole.write_bytes((Path(folder) / built.name).read_bytes())
        os.replace(whole, built)  # noqa: PTH105  (another build may be under way)
    return True
