"""Webhooks against a real server on this machine: what is sent, what is tried again and when, and that the address never shows."""

import hashlib
import hmac
import json
import logging
import socket
import threading
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.notify.channel import NotDeliveredError
from mlpipe.notify.post import FIRST_PAUSE, LONGEST_ASKED, TRIES
from mlpipe.notify.webhook import SIGNATURE, Webhook, payload, signature
from mlpipe.spec.alerts import WebhookChannel
from mlpipe_tests.notify.receiver import SECRET, Answer, Receiver, alert, ends, fires, receiver

ENV, KEY_ENV = "SHOP_HOOK", "SHOP_KEY"


class Waits(list[float]):
    """Remembers how long it was asked to wait, and does not."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def hook(url: str, waits: Waits | None = None, *, chance: float = 0.0, **settings: object) -> Webhook:
    """The webhook of an address, which waits for nothing."""
    channel = WebhookChannel(url_env=ENV, **settings)
    environment = {ENV: url, KEY_ENV: "k3y"}
    return Webhook(channel, environment, Waits() if waits is None else waits, lambda: chance)


def refused(webhook: Webhook, patience: float = 30.0) -> NotDeliveredError:
    with pytest.raises(NotDeliveredError) as caught:
        webhook.deliver([alert()], patience)
    error = caught.value
    told = "".join(traceback.format_exception(error)) + repr(error) + repr(webhook) + repr(vars(error))
    assert SECRET not in told
    assert error.where == f"webhook {ENV}"
    return error


def test_an_alert_is_one_post_of_json_with_the_text_that_slack_shows() -> None:
    with receiver() as there:
        hook(there.url).deliver(
            [alert(text="12 of 80 rows <kept> & more.", link="https://ui.example/runs/1")], 5
        )
        ((method, path, headers, body),) = there.got
    sent = json.loads(body)
    assert method == "POST" and path == f"/hooks/{SECRET}"
    assert headers["Content-Type"] == "application/json; charset=utf-8" and SIGNATURE not in headers
    assert sent["text"] == (
        "🔴 *shop_daily failed (a)* (dev)\n12 of 80 rows &lt;kept&gt; &amp; more. https://ui.example/runs/1"
    )
    assert len(sent["alerts"]) == 1 and sent["alerts"][0] == {
        "id": "failed:a",
        "kind": "failed",
        "severity": "error",
        "pipeline": "shop",
        "deployment": "dev",
        "partition": "2024-03-02",
        "title": "shop_daily failed (a)",
        "text": "12 of 80 rows <kept> & more.",
        "happened_at": "2024-03-03T12:00:00+00:00",
        "run": "",
        "link": "https://ui.example/runs/1",
        "live": True,
        "state": "news",
        "key": "",
        "episode": "",
        "runbook": "",
        "fields": {},
    }


@given(st.text(), st.text())
def test_what_strangers_wrote_commands_nobody_in_slack(title: str, text: str) -> None:
    shown = payload([alert(title=title, text=text)])["text"]
    assert "<" not in shown and ">" not in shown
    json.dumps(payload([alert(title=title, text=text)]), ensure_ascii=False).encode("utf-8", "replace")


def test_several_alerts_are_one_post() -> None:
    with receiver() as there:
        hook(there.url).deliver([fires("a", 1), ends("a", 2)], 5)
        ((_, _, _, body),) = there.got
    assert json.loads(body)["text"].split("\n")[::2] == [
        "🔴 *shop_daily failed (a1)* (dev)",
        "✅ *a is over* (dev)",
    ]
    assert [a["state"] for a in there.alerts] == ["firing", "resolved"]


def test_a_signature_proves_body_and_sender() -> None:
    # By hand: printf x | openssl dgst -sha256 -hmac k
    assert signature("k", b"x") == "sha256=c38edc8815c8489f64738978f44008f8596345545f0baa68ef6fcf5c53e57189"
    with receiver() as there:
        hook(there.url, secret_env=KEY_ENV).deliver([alert()], 5)
        ((_, _, headers, body),) = there.got
    assert headers[SIGNATURE] == "sha256=" + hmac.new(b"k3y", body, hashlib.sha256).hexdigest()


def test_it_is_sent_again_after_pauses_that_double_until_it_is_taken() -> None:
    waits = Waits()
    with receiver(Answer(500), Answer(503)) as there:
        hook(there.url, waits, chance=0.5).deliver([alert()], 30)
        assert [a["id"] for a in there.alerts] == ["failed:a"] * 3
        assert len({body for *_, body in there.got}) == 1
    assert waits == [FIRST_PAUSE * 0.75, FIRST_PAUSE * 1.5]


def test_after_the_last_try_it_says_what_was_answered() -> None:
    with receiver(*[Answer(502)] * 9) as there:
        error = refused(hook(there.url))
        assert len(there.got) == TRIES
    assert error.what == "it answered 502 (3 of 3 tries)" and error.retry_after == 0


@pytest.mark.parametrize("status", [429, 503])
def test_the_receiver_says_how_long_to_wait(status: int) -> None:
    waits = Waits()
    with receiver(Answer(status, {"Retry-After": "7"})) as there:
        hook(there.url, waits).deliver([alert()], 30)
        assert len(there.got) == 2
    assert waits == [7.0]


def test_a_wait_that_is_longer_than_the_patience_is_handed_back() -> None:
    waits = Waits()
    with receiver(Answer(429, {"Retry-After": "120"})) as there:
        error = refused(hook(there.url, waits))
        assert len(there.got) == 1
    assert waits == [] and error.retry_after == 120 and "429" in error.what


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        (300, 200, 300),
        (-86_400, 0, 0),
        ("999999999", LONGEST_ASKED, LONGEST_ASKED),
        ("soon", 0, 0),
        ("-5", 0, 0),
        ("٣", 0, 3),
    ],
)
def test_a_wait_may_be_a_date_and_nonsense_is_none(header: str | int, low: float, high: float) -> None:
    """A number of seconds stands for a date that lies so far from now."""
    if isinstance(header, int):
        header = format_datetime(datetime.now(UTC) + timedelta(seconds=header))
    with receiver(*[Answer(429, {"Retry-After": header.encode().decode("latin-1")})] * 3) as there:
        assert low <= refused(hook(there.url), 60).retry_after <= high


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_what_will_not_pass_is_not_tried_again(status: int) -> None:
    waits = Waits()
    with receiver(*[Answer(status)] * 3) as there:
        assert refused(hook(there.url, waits)).what == f"it answered {status}"
        assert len(there.got) == 1 and waits == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with receiver() as other, receiver(Answer(status, {"Location": other.url})) as there:
        assert "a redirect, which is not followed" in refused(hook(there.url)).what
        assert len(there.got) == 1 and other.got == []


def test_a_receiver_that_hangs_is_left_and_tried_again() -> None:
    with receiver(Answer(hang=True)) as there:
        hook(there.url, timeout="0.2s").deliver([alert()], 30)
        assert len(there.got) == 2
    with receiver(*[Answer(hang=True)] * 3) as there:
        assert refused(hook(there.url, timeout="0.1s")).what == "no answer within 0.1 s (3 of 3 tries)"


def test_nobody_there_is_tried_again() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    waits = Waits()
    error = refused(hook(f"http://127.0.0.1:{port}/{SECRET}", waits))
    assert error.what == "no connection: Connection refused (3 of 3 tries)" and len(waits) == 2


def test_a_server_that_speaks_no_http_is_told_without_its_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def nonsense() -> None:
            for _ in range(3):
                with server.accept()[0] as there:
                    there.recv(65536)
                    there.sendall(f"{SECRET}\r\n\r\n".encode())

        thread = threading.Thread(target=nonsense, daemon=True)
        thread.start()
        error = refused(hook(f"http://127.0.0.1:{server.getsockname()[1]}/{SECRET}"))
        thread.join(10)
    assert error.what == "no connection: BadStatusLine (3 of 3 tries)"


@pytest.mark.parametrize(
    "address",
    [
        f"ftp://example.org/{SECRET}",
        f"file:///etc/{SECRET}",
        f"data:,{SECRET}",
        SECRET,
        f"https://user:{SECRET}@example.org/",
        f"https:///{SECRET}",
        f"http://example.org:port/{SECRET}",
        f"http://example.org/{SECRET} x",
        f"http://example.org/{SECRET}\r\nX-Evil: 1",
        f"http://exämple.org/{SECRET}",
        f"http://[{SECRET}/",
    ],
)
def test_what_is_no_address_is_refused_unseen(address: str) -> None:
    assert refused(hook(address)).what == f"the variable {ENV} holds no address"


@pytest.mark.parametrize("missing", [ENV, KEY_ENV])
def test_a_variable_that_is_not_set_is_named_and_nothing_is_sent(missing: str) -> None:
    with receiver() as there:
        environment = {n: v for n, v in {ENV: there.url, KEY_ENV: "k3y"}.items() if n != missing}
        webhook = Webhook(WebhookChannel(url_env=ENV, secret_env=KEY_ENV), environment)
        assert refused(webhook).what == f"the variable {missing} is not set"
        assert there.got == []


def test_nothing_is_logged_about_the_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with receiver(Answer(500), Answer(200), Answer(404)) as there:
        webhook = hook(there.url)
        webhook.deliver([alert()], 30)
        refused(webhook)
    assert SECRET not in caplog.text


def test_the_address_is_read_when_it_is_needed() -> None:
    def ids(there: Receiver) -> list[str]:
        return [a["id"] for a in there.alerts]

    with receiver() as old, receiver() as new:
        environment = {ENV: old.url}
        webhook = Webhook(WebhookChannel(url_env=ENV), environment)
        webhook.deliver([alert("a")], 5)
        environment[ENV] = new.url
        webhook.deliver([alert("b")], 5)
        assert ids(old) == ["failed:a"] and ids(new) == ["failed:b"]
