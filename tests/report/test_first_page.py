"""The first page: verdict, world, effect, how sure, what is not said: in plain words, one page."""

from __future__ import annotations

import dataclasses
import re

import pytest

from marsbench.report import pages
from marsbench.report.document import Facts
from marsbench.report.first_page import first_page
from marsbench.report.first_tables import MOST, long
from marsbench.report.material import Material
from marsbench.report.world import PAUSES, world
from metrics.story import a_session, told
from report import boxes
from report.conftest import config, write
from report.test_summary import FAR, HERE, of, point

NAMES = [
    "Verdict", "What was tried", "What it changes", "Why", "How sure", "What this does not say",
    "What to do next",
]  # fmt: skip


def facts_of(material):
    (facts,) = [block for block in first_page(material) if isinstance(block, Facts)]
    return dict(facts.items)


def tables_of(material):
    return [block for block in first_page(material) if not isinstance(block, Facts)]


def test_it_answers_what_one_who_decides_asks(material):
    facts = facts_of(material)
    assert [*facts] == NAMES
    assert facts["Verdict"] == (
        "`mars` looks better than `fcfs`; these runs do not settle it. Nowhere was anything "
        "clearly better than `mars`."
    )
    assert (
        "a session takes 24.0 s on average, where under `fcfs` it takes 2.00 min"
        in (facts["What it changes"])
    )
    assert facts["Why"].startswith("A session of mars takes 96.0 s less than one of fcfs: ")
    assert "With 2 pairs a place that may be luck: it takes 6 to tell at 95%." in facts["How sure"]
    assert "Seconds come from a model of the GPU" in facts["What this does not say"]
    assert facts["What to do next"].endswith("play 6 seeds or more.")


def test_the_world_is_told_with_its_pauses_load_machine_and_seeds(material):
    text = world(material)
    assert "`ilr-1` (at load 0.5 and 1): as recorded." in text
    assert f"Pauses are {PAUSES['autonomous']}." in text
    assert "qwen3-coder-30b on h200, as a simulator plays it" in text
    assert "6 sessions a run, 2 times over with other sessions each time (seeds 1 and 2)" in text


def test_where_nothing_is_better_one_stays(material):
    runs = of(material, point("fcfs", HERE, 1.0, 100.0), point("mars", HERE, 1.0, 98.0))
    assert facts_of(runs)["Verdict"].startswith("Stay with `fcfs`.")
    assert [*facts_of(runs)][2:4] == ["What it changes", "How sure"]


def test_a_place_at_which_it_is_behind_is_not_hidden(material):
    near = HERE._replace(load=0.7)
    runs = of(
        material,
        *(point("fcfs", place, 0.1, 900.0) for place in (near, HERE)),
        *(point("mars", place, 0.9, 100.0) for place in (near, HERE)),
        *(point(name, FAR, good, 300.0) for name, good in {"fcfs": 0.9, "mars": 0.2}.items()),
    )
    assert facts_of(runs)["Verdict"] == (
        "`mars` looks better than `fcfs`; these runs do not settle it. At 2 of 3 places nothing "
        "was clearly better than `mars`; the summary names the others."
    )


def test_invalid_runs_and_growing_backlogs_are_said(material):
    sources = [
        dataclasses.replace(s, valid=False, cautions=({"code": "SATURATED", "text": ""},))
        if s.backend == "mars" else s
        for s in material.comparison.sources
    ]  # fmt: skip
    comparison = dataclasses.replace(material.comparison, sources=tuple(sources))
    text = facts_of(Material(material.folders, comparison))["What this does not say"]
    assert "In 4 of 20 runs work came faster than it was done" in text
    assert "Not valid, and no evidence: 4 runs of `mars`." in text


def test_tables_have_the_best_first_and_keep_the_baseline_among_few(material):
    here, elsewhere = tables_of(material)
    names = [row[0] for row in here.texts]
    assert (names[0], "fcfs" in names) == ("mars", True)
    assert here.texts[0][1:] == ("24.0 s", "100%")
    assert len(elsewhere.texts) == 1
    assert len(here.texts) <= MOST


@pytest.fixture
def lone(tmp_path):
    events = told(*(a_session(f"s{n}", 5.0 * n, 5.0 * n + 30) for n in range(6)))
    write(tmp_path / "lone", events, config("theirs", 0.9, 1))
    return Material.read([tmp_path / "lone"])


def test_one_backend_gives_no_verdict_and_says_so(lone):
    facts = facts_of(lone)
    assert facts["Verdict"].startswith("None. These runs of `theirs` give nothing to choose")
    assert facts["How sure"] == "Nothing is compared, so there is nothing to be sure of."
    assert tables_of(lone) == []


def test_it_is_one_page_in_a_pdf_and_set_apart_in_every_form(report):
    first, second, *_ = boxes.pages_of(pages.as_pdf(report))
    texts = ["".join(glyph.text for glyph in page.glyphs) for page in (first, second)]
    assert "Verdict." in texts[0]
    assert "Whattodonext." in texts[0].replace(" ", "")
    assert texts[1].lstrip("2 ").startswith("Summary")
    tex = pages.as_latex(report, None)
    assert tex.index("What to do next") < tex.index(r"\clearpage") < tex.index("{Summary}")
    html = pages.as_html(report)
    assert "#first-page { break-after: page; }" in html
    assert "<dt>Verdict</dt><dd><code>mars</code> looks better" in html
    markdown = pages.as_markdown(report, None)
    assert re.search(r"^- \*\*Verdict\.\*\* `mars` looks better", markdown, re.M)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "an unknown time"), (95.0, "95.0 s"), (500.0, "8.33 min"), (9000.0, "2.50 h")],
)
def test_times_are_said_as_a_person_would(seconds, text):
    assert long(seconds) == text
