"""`marsbench setup`: what plays runs, where marsbench was installed without a clone."""

from __future__ import annotations


def setup() -> None:
    """Install vLLM's scheduler here, without its CUDA stack: a minute or two, 3 GB.

    Into the environment that marsbench runs in, at the versions that it was tested with, by uv and
    with pip's settings for indexes and proxies. Where there is a GPU, torch comes with CUDA.
    """
    from marsbench.setup.here import set_up

    set_up()
