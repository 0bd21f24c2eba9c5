"""What a record answers: who, why, which data, which code, how to repeat it."""

import re
import shlex

from mlpipe.cli import parser
from mlpipe.index.lineage import trace
from mlpipe.index.shelf import open_shelf
from mlpipe.orchestration.runtime import TRIGGERS
from mlpipe.records.archives import files
from mlpipe.stores.store import Store
from mlpipe.views.record import Shown, as_text
from mlpipe.views.subjects import subject_of


def answered(store: Store, name: str) -> dict[str, list[str]]:
    """Ask every record of a pipeline that was lived through; commands that make them again, by stage, in the order of their ids."""
    ways: dict[str, list[str]] = {}
    with open_shelf(store.url) as shelf:
        records = [shelf.read(name, i) for i in store.record_ids(name)]
        assert {r.stage for r in records} == {
            "ingest",
            "validate",
            "feature",
            "label",
            "train",
            "evaluate",
            "register",
            "predict",
            "monitor",
        }
        assert {"ingest", "register"} <= {r.stage for r in records}
        every, archives = {r.id for r in records}, set()
        for record in records:
            place = f"{record.asset} {record.partition} {record.id}"
            assert record.actor and record.owners is not None, place
            assert record.trigger.kind in TRIGGERS and record.trigger.reason and record.run, place
            # Which data: every input is a record that is there, with the object that it made, down to rows that were frozen.
            assert record.inputs or record.stage == "ingest" or not record.outputs, place
            for given in record.inputs:
                assert given.record in every and given.partition, place
                assert not given.id or store.exists(given.id), place
            below = [b for b in trace(shelf, record).walk() if not b.inputs and not b.again]
            assert not record.outputs or any(b.asset == f"{name}/raw" for b in below), place
            assert all(store.exists(o.id) for o in (*record.outputs, *record.curves, *record.artifacts)), (
                place
            )
            # Which code.
            assert record.code.stage_version and record.code.mlpipe and record.code.archive, place
            archives.add(record.code.archive)
            text = as_text(Shown(subject_of(shelf, record.id, record)))
            for word in ("why  ", "who  ", "read  ", "code  ", "environment  ", "again  "):
                assert f"\n{word}" in text, (place, word)
            found = re.findall(r"^again +(mlpipe reproduce .*)$", text, re.MULTILINE)
            can = bool(record.outputs) and record.stage not in ("ingest", "register")
            assert len(found) == can, place
            for way in found:
                args = parser().parse_args(shlex.split(way)[1:])
                assert args.id == record.id[:16], place
                ways.setdefault(record.stage, []).append(way)
        for archive in archives:
            assert any(name in text for text in files(store.get_bytes(archive)).values())
    return ways
