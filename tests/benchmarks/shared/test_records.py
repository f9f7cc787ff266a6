"""The record of a run and its provenance."""

from __future__ import annotations

import platform

from shared import records


def test_a_record_names_the_processor_and_where_the_system_does_not_tell_the_architecture(tmp_path, monkeypatch):
    told = tmp_path / "cpuinfo"
    told.write_text("model\t: 85\nmodel name\t: Fast\ncpu family\t: 6\n\nmodel\t: 85\nmodel name\t: Fast\n")
    monkeypatch.setattr(records, "_CPUINFO", told)
    assert records.provenance("x")["machine"]["processor"] == "Fast, family 6, model 85"
    told.write_text("processor\t: 0\n")
    assert records.provenance("x")["machine"]["processor"] == platform.machine()
    told.unlink()
    assert records.provenance("x")["machine"]["processor"] in (platform.processor(), platform.machine())
