"""Messages to Slack: their form and limits, what strangers wrote in them, and a real receiver."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.notify.channel import NotDeliveredError
from mlpipe.notify.outbox import MOST
from mlpipe.notify.slack import HEADER, MOST_BLOCKS, SECTION, Slack, escaped, message
from mlpipe.spec.alerts import SlackChannel
from mlpipe_tests.notify.receiver import SECRET, Answer, alert, ends, fires, receiver

ENV = "SHOP_SLACK"
LINK = re.compile(r"<https?://[^<>|\s]*\|(Open in Dagster|Runbook)>")


def texts(sent: dict[str, Any]) -> list[str]:
    """Every text of a message as Slack would read it."""
    found = [sent["text"]]
    for block in sent["blocks"]:
        found += [block["text"]["text"]] if "text" in block else [e["text"] for e in block["elements"]]
    return found


def test_one_alert_is_words_and_a_line_with_links() -> None:
    given = fires(
        title="a & b drift",
        text="PSI <0.4>.",
        link="https://ui.example/assets/shop?view=a&b=c|d",
        runbook="https://wiki.example/drift.md",
        severity="critical",
    )
    sent = message([given])
    assert sent["text"] == "a &amp; b drift"
    section, context = sent["blocks"]
    assert section == {
        "type": "section",
        "text": {"type": "mrkdwn", "text": "🚨 *a &amp; b drift*\nPSI &lt;0.4&gt;.", "verbatim": True},
    }
    assert context["elements"][0]["text"] == (
        "shop · dev · 2024-03-02 · critical"
        " · <https://ui.example/assets/shop?view=a&amp;b=c%7Cd|Open in Dagster> · <https://wiki.example/drift.md|Runbook>"
    )


def test_without_addresses_the_runbook_is_named() -> None:
    (_, context) = message([fires(link="/runs/1", runbook="docs/runbooks/drift.md")])["blocks"]
    assert context["elements"][0]["text"].endswith("error · Runbook: docs/runbooks/drift.md")


def test_several_alerts_are_one_message_with_a_heading() -> None:
    sent = message([fires("a", 1), ends("b", 2), fires("c", 3, pipeline="trips")])
    assert sent["blocks"][0] == {
        "type": "header",
        "text": {"type": "plain_text", "text": "3 alerts of shop, trips, 1 resolved"},
    }
    assert sent["text"] == "3 alerts of shop, trips, 1 resolved" and len(sent["blocks"]) == 7
    assert sent["blocks"][3]["text"]["text"].startswith("✅ *b is over*")
    assert sent["blocks"][4]["elements"][0]["text"] == "shop · dev · 2024-03-02 · resolved"


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), min_size=1, max_size=60))
def test_no_message_breaks_a_limit_or_commands_anybody(written: list[tuple[str, str, str]]) -> None:
    alerts = [
        fires(str(n), n, title=a * 50, text=b * 99, link=f"https://x/{c}", pipeline=c)
        for n, (a, b, c) in enumerate(written)
    ]
    sent = message(alerts)
    assert len(sent["blocks"]) <= MOST_BLOCKS
    for block in sent["blocks"]:
        if block["type"] == "section":
            assert len(block["text"]["text"]) <= SECTION
        if block["type"] == "header":
            assert 0 < len(block["text"]["text"]) <= HEADER
            continue
        shown = block["text"]["text"] if "text" in block else block["elements"][0]["text"]
        left = LINK.sub("", shown)
        assert "<" not in left and ">" not in left
        assert not re.search(r"&(?!amp;|lt;|gt;)", left)
    json.dumps(sent, ensure_ascii=False).encode("utf-8", "replace")


def test_a_full_round_fits_into_one_message() -> None:
    sent = message([fires(str(n), n) for n in range(MOST)])
    assert len(sent["blocks"]) == 1 + 2 * MOST and "more" not in texts(sent)[-1]
    assert texts(message([fires(str(n), n) for n in range(30)]))[-1] == "… and 6 more"


@given(st.text(alphabet="ab&<>", max_size=60), st.integers(1, 40))
def test_what_is_cut_is_cut_between_signs(text: str, most: int) -> None:
    cut = escaped(text, most)
    assert len(cut) <= most
    whole = escaped(text)
    assert cut == whole if len(whole) <= most else whole.startswith(cut[:-1]) and cut[-1] == "…"
    assert re.fullmatch(r"([ab…]|&amp;|&lt;|&gt;)*", cut)


def test_it_is_posted_and_tried_again_and_the_address_never_shows() -> None:
    with receiver(Answer(503)) as there:
        slack = Slack(SlackChannel(url_env=ENV), {ENV: there.url}, lambda _: None)
        slack.deliver([alert(), alert("b")], 5)
        assert len(there.got) == 2 and len(json.loads(there.got[1][3])["blocks"]) == 5
        there.answers.append(Answer(404))
        with pytest.raises(NotDeliveredError) as caught:
            slack.deliver([alert()], 5)
    assert caught.value.what == "it answered 404" and caught.value.where == f"slack {ENV}"
    assert SECRET not in f"{caught.value}{slack!r}"
