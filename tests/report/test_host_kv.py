"""The section on vLLM's own offloading: there where a run has it, and what it says."""

from __future__ import annotations

from marsbench.core.events import HostUnderWay
from marsbench.report.host_kv import tables
from marsbench.report.material import Material
from marsbench.report.sections import document
from metrics.story import told
from report.conftest import config, offloaded, story, write


def test_where_no_run_has_it_there_is_no_section(material, report):
    assert "host-kv" not in [section.id for section in report.sections]
    assert list(tables(material)) == []


def test_it_tells_lanes_waits_and_what_was_left(tmp_path):
    events = story(1.0, 1)
    copied = [e for e in offloaded(0) if e.at < max(e.at for e in events)]
    end = HostUnderWay(max(e.at for e in events), 2, 1e9)
    write(tmp_path / "with", told(events, copied, [end]), config("mars", 1.0, 1))
    write(tmp_path / "without", events, config("fcfs", 1.0, 1))
    material = Material.read([tmp_path / "with", tmp_path / "without"])
    (table,) = tables(material)
    (row,) = table.rows
    found = dict(zip(table.head[5:], row[5:], strict=True)) | {"backend": row[1]}
    assert (found["backend"], found["out, GB"], found["in, GB"]) == ("mars", "4.00", "2.00")
    assert (found["wait, s"], found["left"]) == ("0.25", "2.00")
    ids = [section.id for section in document(material, None, lambda step: None).sections]
    assert "host-kv" in ids
