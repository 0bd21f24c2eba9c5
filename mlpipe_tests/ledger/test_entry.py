"""Entries: canonical bytes, hash, and what is refused."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpipe.errors import LedgerError
from mlpipe.ledger.entry import Draft, Entry
from mlpipe_tests.ledger.chains import day, hand_written, register

PLAIN = Draft(kind="claim", actor="bob", role="sensor", reason="Drift.", effective_at=day(0))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_the_hash_is_blake2b_over_the_canonical_json_without_the_hash() -> None:
    [entry] = hand_written(PLAIN)
    text = (
        '{"actor":"bob","bundle":null,"deployment":"dev","details":{},'
        '"effective_at":"2024-01-01T00:00:00.000000+00:00","evaluation":null,"from_stage":null,'
        '"from_version":null,"kind":"claim","logical_date":null,"nonce":"n1","number":1,"pipeline":"churn",'
        '"previous":"","reason":"Drift.","recorded_at":"2025-01-01T00:00:00.000000+00:00","role":"sensor",'
        '"schema":1,"segment":null,"to_stage":null,"to_version":null,"trigger":null,"version":null}'
    )
    assert entry.hash == hashlib.blake2b(text.encode(), digest_size=20).hexdigest()
    stored = json.loads(entry.to_bytes())
    assert stored.pop("hash") == entry.hash
    assert stored == json.loads(text)


def test_an_entry_names_the_hash_of_the_one_before() -> None:
    first, second = hand_written(register(1, 0), register(2, 1))
    assert (first.number, first.previous) == (1, "")
    assert (second.number, second.previous) == (2, first.hash)


@settings(max_examples=60, deadline=None)
@given(
    details=st.dictionaries(st.text(), json_values, max_size=4),
    reason=st.text(min_size=1, max_size=2000).filter(str.strip),
    moment=st.datetimes(timezones=st.timezones(), min_value=datetime(1970, 1, 2)),
)
def test_bytes_round_trip(details: dict[str, object], reason: str, moment: datetime) -> None:
    [entry] = hand_written(replace(PLAIN, reason=reason, details=details, effective_at=moment))
    again = Entry.from_bytes(entry.to_bytes())
    assert again == entry
    assert again.to_bytes() == entry.to_bytes()
    assert again.effective_at == moment.astimezone(UTC)
    assert again.effective_at.utcoffset() == timedelta(0)


def test_every_single_byte_edit_is_found() -> None:
    [entry] = hand_written(register(1, 0))
    data = entry.to_bytes()
    for place in range(len(data)):
        for other in {0x00, 0x20, 0x30, 0x39, data[place] ^ 0x01, data[place] ^ 0x20, 0xFF} - {data[place]}:
            with pytest.raises(LedgerError):
                Entry.from_bytes(data[:place] + bytes([other]) + data[place + 1 :])
        with pytest.raises(LedgerError):
            Entry.from_bytes(data[:place] + data[place + 1 :])


def test_a_space_is_an_edit_even_though_the_content_is_the_same() -> None:
    [entry] = hand_written(PLAIN)
    with pytest.raises(LedgerError, match="canonically"):
        Entry.from_bytes(entry.to_bytes() + b"\n")


def test_another_schema_is_refused_with_what_to_do() -> None:
    [entry] = hand_written(PLAIN)
    later = entry.to_bytes().replace(b'"schema":1', b'"schema":2')
    with pytest.raises(LedgerError, match=r"schema 2; this mlpipe reads schema 1") as caught:
        Entry.from_bytes(later)
    assert "later one" in caught.value.fix


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"\xff", b"{}", b'{"schema":1}', b'{"schema":true}'])
def test_what_is_no_entry_is_refused(data: bytes) -> None:
    with pytest.raises(LedgerError):
        Entry.from_bytes(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "promot"}, "Did you mean 'promote'"),
        ({"role": "robot"}, "role 'robot' is unknown"),
        ({"to_stage": "live"}, "to_stage 'live' is unknown"),
        ({"reason": "  "}, "reason of an entry is empty"),
        ({"reason": "x" * 2001}, "2001 characters; at most 2000"),
        ({"reason": "\ud800"}, "half a character"),
        ({"actor": ""}, "actor of an entry is empty"),
        ({"version": 0}, "version of an entry must be an int"),
        ({"version": True}, "version of an entry must be an int"),
        ({"effective_at": datetime(2024, 1, 1)}, "with a time zone"),
        ({"effective_at": pd.NaT}, "with a time zone"),
        ({"details": {"a": [1, float("nan")]}}, r"details.a\[1\] holds nan"),
        ({"details": {"a": {1: 2}}}, "key in details.a is not text: 1"),
        ({"details": {"a": day(0)}}, "details.a holds"),
    ],
)
def test_a_field_that_is_not_allowed_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(LedgerError, match=message):
        replace(PLAIN, **change)


def test_a_reason_of_2000_characters_is_allowed() -> None:
    assert len(replace(PLAIN, reason="x" * 2000).reason) == 2000


@pytest.mark.parametrize("name", ["", "..", "a/b", "_", ".hidden", "a\n", "ä", "x" * 101, "a b"])
def test_a_name_that_may_not_be_a_folder_is_refused(name: str) -> None:
    for chain in [(name, None, "dev"), ("churn", name, "dev"), ("churn", None, name)]:
        with pytest.raises(LedgerError, match="may not be"):
            Entry.seal(PLAIN, after=None, chain=chain, nonce="n", recorded_at=day(0))


def test_times_are_kept_in_utc_as_plain_datetimes() -> None:
    moment = pd.Timestamp("2024-01-01 05:30:00.123456789", tz=timezone(timedelta(hours=5, minutes=30)))
    kept = replace(PLAIN, effective_at=moment).effective_at
    assert type(kept) is datetime
    assert kept == datetime(2024, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)


def test_details_are_copied() -> None:
    mine = {"gates": [{"gate": "f1", "passed": True}]}
    draft = replace(PLAIN, details=mine)
    mine["gates"][0]["passed"] = False
    assert draft.details == {"gates": [{"gate": "f1", "passed": True}]}
