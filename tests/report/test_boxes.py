"""Every page of a report by the PDF's own boxes: nothing lies on anything, none is half empty."""

from __future__ import annotations

from pathlib import Path

import pytest

from marsbench.judge.sweep.folder import SweepFolder
from marsbench.report import pages
from marsbench.report.material import Material, ReportOptions
from marsbench.report.sections import document
from report import boxes
from report.conftest import config, place, story, write

REFERENCE = Path(__file__).resolve().parents[2] / "results" / "reference"
MARGINS = (44.0, 50.0, 44.0, 50.0)
"""Points: what the page leaves free, but for its number."""
FOOT = 45.0
LONG = {
    "mars": 1.2,
    "fcfs": 6.0,
    "mars-no-admission": 4.0,
    "our_house_scheduler_with_a_name_that_no_table_has_room_for_2026": 1.5,
    "a-b-c-d-e-f-g-h-i-j-k-l-m-n-o-p-q-r-s-t-u-v-w-x-y-z-and-once-more": 2.0,
    "fcfs in results/night/2026-11-25_3f2a91c_with-a-long-folder-name": 3.0,
}


def drawn(folders, **asked):
    material = Material.read(folders, ReportOptions(**asked))
    return boxes.pages_of(pages.as_pdf(document(material, None, lambda step: None)))


@pytest.fixture(scope="module")
def long_names(tmp_path_factory):
    """A sweep whose backends, workloads and hardware have names longer than any column."""
    path = tmp_path_factory.mktemp("results") / "a-sweep-with-quite-a-name"
    cells = {
        f"{number}_{load}_{backend}": (number, backend, load)
        for number in range(4)
        for backend in LONG
        for load in (0.5, 1.0)
    }
    folder = SweepFolder.create(path, "long", "", [str(n) for n in range(len(cells))])
    for index, (number, backend, load) in enumerate(cells.values()):
        slowed = 1 + (LONG[backend] - 1) * (load if load == 1.0 else 0.1)
        write(folder.draft(str(index)), story(slowed, 1), config(backend, load, 1))
        where = place(backend, load, 1) | {
            "workload": f"coding_agents_of_the_platform_team_{number}",
            "hardware": "eight-h200-with-nvlink-and-a-long-label",
            "engine": "an_engine_profile_of_our_own" if number % 2 else "paper",
        }
        folder.keep(str(index), where, "inputs")
    return path


@pytest.fixture(scope="module", params=["reference", "long names"])
def report(request):
    if request.param == "reference":
        return drawn([REFERENCE])
    return drawn([request.getfixturevalue("long_names")], verdicts="mars")


def test_no_two_words_lie_on_each_other(report):
    assert [(page.number, pair) for page in report for pair in boxes.overlapping(page)] == []


def test_no_word_leaves_its_page(report):
    left = [(page.number, word) for page in report for word in boxes.outside(page, MARGINS, FOOT)]
    assert left == []


def test_no_word_leaves_its_column_of_a_table(report):
    assert [(page.number, word) for page in report for word in boxes.leaving(page)] == []


def test_no_rule_goes_through_a_word_or_touches_it(report):
    assert [(page.number, word) for page in report for word in boxes.ruled(page)] == []


def test_no_type_is_smaller_than_seven_points(report):
    assert min(boxes.smallest(page) for page in report) > 6.95


def test_no_page_but_the_last_has_a_large_part_without_anything(report):
    found = [
        (page.number, boxes.filled(page, MARGINS), boxes.blank(page, MARGINS))
        for page in report[:-1]
    ]
    assert [(n, share, blank) for n, share, blank in found if share < 0.5 or blank > 0.45] == []
