"""The table of tenants: there where a run has several, and what it says."""

from __future__ import annotations

from marsbench.core.events import SessionArrived
from marsbench.report.material import Material
from marsbench.report.tables import tenants
from report.conftest import config, story, write


def test_where_no_run_has_tenants_there_is_no_table(material):
    assert list(tenants(material)) == []


def test_each_tenant_of_each_backend_has_a_row(tmp_path):
    events = list(story(1.0, 1))
    names = [e.session for e in events if isinstance(e, SessionArrived)]
    owned = {name: "red" if number % 2 else "blue" for number, name in enumerate(names)}
    shared = [
        SessionArrived(e.at, e.session, owned[e.session], e.parent)
        if isinstance(e, SessionArrived)
        else e
        for e in events
    ]
    for backend in ("fcfs", "mars"):
        write(tmp_path / backend, shared, config(backend, 1.0, 1))
    (table,) = tenants(Material.read([tmp_path / "fcfs", tmp_path / "mars"]))
    assert [row[:2] for row in table.rows] == [
        (backend, tenant) for backend in ("fcfs", "mars") for tenant in ("blue", "red")
    ]
    assert all(row[-1].endswith(")") for row in table.rows)
