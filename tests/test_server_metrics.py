"""What a metrics page says of one engine and of several, and what does not follow from it."""

from __future__ import annotations

import pytest

from marsbench.serve.metrics_page import ServerMetrics, read_server_metrics
from metrics_pages import NO_PAGE, OF_TWO_ENGINES, TWO_ENGINES

USAGE = 'vllm:kv_cache_usage_perc{engine="%d"} %s\n'
CONFIG = 'vllm:cache_config_info{block_size="%d",engine="%d",num_gpu_blocks="%s"} 1.0\n'


def blocks(*of: tuple[int, int | str], size: int = 16) -> str:
    """A line an engine: its number, and what is said of the server's blocks."""
    return "".join(CONFIG % (size, engine, told) for engine, told in of)


def test_engines_are_added_and_their_blocks_are_on_each_line_already() -> None:
    found = read_server_metrics(TWO_ENGINES)
    assert found == OF_TWO_ENGINES
    assert (found.used_blocks, found.free_blocks) == (750, 1250)


def test_the_null_block_is_nobodys() -> None:
    found = read_server_metrics(blocks((0, 1001)) + USAGE % (0, "0.25"))
    assert (found.num_blocks, found.used_blocks, found.free_blocks) == (1000, 250, 750)


@pytest.mark.parametrize(
    "page",
    [
        blocks((0, 1001), (1, 501)),  # two servers' lines, which a sum of one server never are
        blocks((0, 1001), (0, 1001)),
        blocks((0, "None")),
        USAGE % (0, "0.5"),
        "",
    ],
)
def test_blocks_that_do_not_follow_are_none(page: str) -> None:
    found = read_server_metrics(page)
    assert (found.num_blocks, found.used_blocks, found.free_blocks) == (None, None, None)


def test_block_sizes_that_differ_are_none() -> None:
    page = blocks((0, 1001), size=16) + blocks((1, 1001), size=32)
    assert read_server_metrics(page).block_size is None


def test_the_usage_of_some_engines_is_not_that_of_all() -> None:
    assert read_server_metrics(blocks((0, 2002), (1, 2002)) + USAGE % (0, "0.5")).usage is None


def test_what_is_not_there_is_none() -> None:
    assert read_server_metrics("# nothing\nother_total 3.0\n") == ServerMetrics()


def test_a_page_that_is_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="float"):
        read_server_metrics(NO_PAGE)
