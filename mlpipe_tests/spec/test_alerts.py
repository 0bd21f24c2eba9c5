"""Channels of alerts through both doors, and mistakes that never show what may be a secret."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.errors import SpecError
from mlpipe.spec.alerts import KINDS, EmailChannel, LogChannel, SlackChannel, WebhookChannel
from mlpipe_tests.spec.declared import YAML, declared, loaded

MAIL = "from: mlpipe@example.org, host: smtp.example.org"
SECRET = "https://hooks.example/T0k3n"


def wrong(text: str) -> dict[str, str]:
    """Findings of the YAML `alerts: <text>`, by key."""
    with pytest.raises(SpecError) as caught:
        loaded(f"{YAML}alerts: {text}\n")
    return {f.where.partition("key ")[2]: f.what for f in caught.value.findings}


def test_the_log_alone_hears_of_all_unless_something_is_said() -> None:
    assert declared().alerts == (LogChannel(),) and LogChannel().on == tuple(KINDS)
    assert declared(alerts=[]).alerts == () == loaded(f"{YAML}alerts:\n").alerts


@pytest.mark.parametrize(
    ("written", "channels"),
    [
        ("log", (LogChannel(),)),
        ("[log]", (LogChannel(),)),
        ("{log: {on: drift}}", (LogChannel(on=("drift",)),)),
        ("[{type: log, replays: true}]", (LogChannel(replays=True),)),
        ("{webhook: {url_env: HOOK}}", (WebhookChannel(url_env="HOOK"),)),
        (
            "[{webhook: {url_env: HOOK, on: [failed, drift], secret_env: KEY, timeout: 2s}}, log]",
            (
                WebhookChannel(url_env="HOOK", on=("failed", "drift"), secret_env="KEY", timeout="2s"),
                LogChannel(),
            ),
        ),
        ("{slack: {url_env: A, severity: error}}", (SlackChannel(url_env="A", severity="error"),)),
        ("{log: {remind: null}}", (LogChannel(remind=None),)),
        (
            f"{{email: {{{MAIL}, to: [a@b.de, c@d.de], user_env: U, password_env: P}}}}",
            (
                EmailChannel(
                    **{"from": "mlpipe@example.org"},
                    host="smtp.example.org",
                    to=("a@b.de", "c@d.de"),
                    user_env="U",
                    password_env="P",
                ),
            ),
        ),
        (
            "[{webhook: {url_env: A, on: [failed]}}, {webhook: {url_env: B}}]",
            (WebhookChannel(url_env="A", on=("failed",)), WebhookChannel(url_env="B")),
        ),
    ],
)
def test_channels_may_be_written_short(written: str, channels: tuple[Any, ...]) -> None:
    assert loaded(f"{YAML}alerts: {written}\n").alerts == channels


def test_both_doors_make_the_same_channels() -> None:
    python = [{"webhook": {"url_env": "HOOK", "on": ["failed"], "timeout": timedelta(seconds=2)}}, "log"]
    yaml = "[{webhook: {url_env: HOOK, on: [failed], timeout: 2s}}, log]"
    assert declared(alerts=python).alerts == loaded(f"{YAML}alerts: {yaml}\n").alerts
    assert declared(alerts="log").alerts == (LogChannel(),)


def test_an_overlay_replaces_all_channels() -> None:
    text = f"{YAML}alerts: log\noverlays:\n  prod:\n    alerts: [{{webhook: {{url_env: HOOK}}}}]\n"
    assert loaded(text).alerts == (LogChannel(),)
    assert loaded(text, deployment="prod").alerts == (WebhookChannel(url_env="HOOK"),)
    with pytest.raises(SpecError) as caught:
        loaded(text.replace("url_env", "url"))
    assert any("overlays.prod.alerts.0.webhook.url" in f.where for f in caught.value.findings)


@pytest.mark.parametrize(
    ("written", "key", "what"),
    [
        ("[log, {webhok: {url_env: A}}]", "alerts.1.webhok", "unknown type 'webhok'. Did you mean 'webhook'?"),
        ("mail", "alerts", "unknown type 'mail'. Did you mean 'email'? Valid: log, webhook, slack, email."),
        ("{slack: {}}", "alerts.slack.url_env", "'url_env' is missing"),
        ("{log: {severity: bad}}", "alerts.log.severity", "unknown value 'bad'"),
        ("{log: {remind: 3s}}", "alerts.log.remind", "must be at least 1m"),
        (f"{{email: {{{MAIL}, to: []}}}}", "alerts.email.to", "'to' is empty"),
        (f"{{email: {{{MAIL}, to: ana}}}}", "alerts.email.to.0", "must be an address"),
        (f"{{email: {{{MAIL}, to: 'a@b.de\\nBcc: c@d.de'}}}}", "alerts.email.to.0", "must be an address"),
        ("{email: {from: a@b.de, to: c@d.de, host: 'x:25'}}", "alerts.email.host", "must be the name of a mail server"),
        (f"{{email: {{{MAIL}, to: a@b.de, user_env: U}}}}", "alerts.email", "'user_env' and 'password_env' go together"),
        (
            f"{{email: {{{MAIL}, to: a@b.de, user_env: U, password_env: P, security: none}}}}",
            "alerts.email",
            "a password would go over an open line",
        ),
        (f"{{email: {{{MAIL}, to: a@b.de, port: 0}}}}", "alerts.email.port", "must be greater than"),
        ("[{webhook: {}}]", "alerts.0.webhook.url_env", "'url_env' is missing"),
        ("[{webhook: }]", "alerts.0.webhook.url_env", "'url_env' is missing"),
        ("{webhook: {url_env: A, on: [faild]}}", "alerts.webhook.on.0", "unknown kind of alert 'faild'. Did you"),
        ("{log: {on: []}}", "alerts.log.on", "'on' is empty"),
        ("{webhook: {url_env: A, timeout: 31s}}", "alerts.webhook.timeout", "must lie above 0s and at most at 30s"),
        ("{webhook: {url_env: A, secrt_env: B}}", "alerts.webhook.secrt_env", "unknown key 'secrt_env'. Did you"),
        ("[log, log]", "alerts.1", "the channel 'log' stands twice"),
        (
            "[{webhook: {url_env: A, on: drift}}, {webhook: {url_env: A, on: failed}}]",
            "alerts.1.webhook",
            "the channel 'webhook A' stands twice",
        ),
        ("[{webhook: {url_env: A}, on: [drift]}]", "alerts.0", "a channel is its name"),
        ("[3]", "alerts.0", "a channel is its name"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_key(written: str, key: str, what: str) -> None:
    found = wrong(written)
    assert key in found and found[key].startswith(what), found


@pytest.mark.parametrize(
    "written",
    [
        f"'{SECRET}'",
        f"['{SECRET}']",
        f"{{webhook: '{SECRET}'}}",
        f"{{webhook: ['{SECRET}']}}",
        f"{{webhook: {{url: '{SECRET}'}}}}",
        f"{{webhook: {{url_env: '{SECRET}', secret_env: '{SECRET}'}}}}",
        f"{{webhook: {{url_env: ['{SECRET}']}}}}",
        f"{{type: '{SECRET}'}}",
        f"{{'{SECRET}': {{}}}}",
        f"{{type: webhook, url_env: {{a: '{SECRET}'}}}}",
    ],
)
def test_an_address_at_the_wrong_place_does_not_show(written: str) -> None:
    with pytest.raises(SpecError) as caught:
        loaded(f"{YAML}alerts: {written}\n")
    assert SECRET not in f"{caught.value}{caught.value!r}{caught.value.findings}"


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["log", "webhook", "email", "slack", "on", "type"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["log", "webhook", "email", "url_env", "to", "remind", "on", "type", "x"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def test_a_mail_server_has_the_port_of_its_security() -> None:
    given: dict[str, Any] = {"from": "a@b.de", "to": "c@d.de", "host": "h"}
    doors = {s: EmailChannel(**given, security=s).door for s in ("starttls", "tls", "none")}
    assert (
        doors == {"starttls": 587, "tls": 465, "none": 25} and EmailChannel(**given, port=2525).door == 2525
    )


@given(plain)
def test_whatever_is_written_is_channels_or_a_mistake_in_alerts(value: Any) -> None:
    try:
        found = len(declared(alerts=[value]).alerts) - 1
    except SpecError as error:
        found = sum("key alerts" not in f.where for f in error.findings)
    assert found == 0
