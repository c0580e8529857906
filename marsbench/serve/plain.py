"""A server as a plain `vllm serve` line, for those who start their servers otherwise.

All that an emulated GPU is lies in vLLM's own flags, a folder for the model that is not there, and
the platform plugin that an installed marsbench announces.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from marsbench.errors import UsageError
from marsbench.serve.model_folder import write_model
from marsbench.serve.plan import ServeRequest, command, max_model_len


def plain_line(request: ServeRequest, folder: Path) -> str:
    """The line, after the model was written to `folder`.

    Raises UsageError for a folder that is there, and for a server that emulates nothing.
    """
    hardware = request.hardware
    if hardware is None:
        raise UsageError(
            "--plain is for an emulated GPU, whose model has to be written first; a real one's "
            "line is in docs/serving.md."
        )
    try:
        write_model(folder, max_model_len(request, hardware))
    except OSError as error:
        raise UsageError(f"--plain {folder} cannot be made: {error}; give a new folder.") from error
    serve = command(request, request.port, str(folder.absolute()))
    words = ["vllm", *serve[serve.index("serve") :]]
    host_kv = request.settings.host_kv
    lazy = "VLLM_USE_SIMPLE_KV_OFFLOAD=1 " if host_kv is not None and host_kv.is_lazy else ""
    return lazy + shlex.join(words)
