"""Mails through a real SMTP server on this machine: TLS with a certificate that is checked, a login, refusals, and no secret anywhere."""

import logging
import socket
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.notify.channel import NotDeliveredError
from mlpipe.notify.mail import Mail, message
from mlpipe.spec.alerts import EmailChannel
from mlpipe_tests.notify.postbox import certificate, postbox
from mlpipe_tests.notify.receiver import alert, ends, fires

PASSWORD = "s3cret-passw0rd"
LOGIN = {"user_env": "SHOP_USER", "password_env": "SHOP_PASSWORD"}


@pytest.fixture(scope="module")
def cert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trusted(cert: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    return cert


def mail(port: int, environment: dict[str, str] | None = None, **settings: Any) -> Mail:
    given = {"from": "mlpipe@example.org", "to": ["ana@example.org", "bo@example.org"], "host": "127.0.0.1"}
    channel = EmailChannel.model_validate(given | {"type": "email", "port": port, "timeout": "5s"} | settings)
    return Mail(
        channel, {"SHOP_USER": "ana", "SHOP_PASSWORD": PASSWORD} if environment is None else environment
    )


def refused(made: Mail) -> NotDeliveredError:
    with pytest.raises(NotDeliveredError) as caught:
        made.deliver([alert()], 5)
    error = caught.value
    assert PASSWORD not in "".join(traceback.format_exception(error)) + repr(error) + repr(made)
    assert error.where == "email ana@example.org, bo@example.org"
    return error


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_mail_goes_over_tls_with_a_login(trusted: Path, security: str) -> None:
    with postbox(trusted, tls=security == "tls") as there:
        there.login = ("ana", PASSWORD)
        mail(there.port, security=security, **LOGIN).deliver(
            [fires("size", 1, link="https://ui.example/a", runbook="docs/runbooks/drift.md"), ends("b", 2)], 5
        )
        ((to, got),) = there.mails
        assert all(safe for safe, said in there.heard if said[:4] not in ("EHLO", "ehlo", "STAR"))
    assert to == ["ana@example.org", "bo@example.org"]
    assert got["From"] == "mlpipe@example.org" and got["To"] == "ana@example.org, bo@example.org"
    assert got["Subject"] == "🔴✅ 2 alerts of shop: shop_daily failed (size1), … (dev)"
    assert got["Auto-Submitted"] == "auto-generated" and got["Message-ID"].endswith("@mlpipe.invalid>")
    assert got.get_content().splitlines() == [
        "🔴 shop_daily failed (size1)",
        "Run 12 failed.",
        "failed, error, 2024-03-03 12:01 UTC, dev",
        "Asset: https://ui.example/a",
        "Runbook: docs/runbooks/drift.md",
        "Id: failed:size1",
        "",
        "✅ b is over",
        "Run 12 failed.",
        "failed, resolved, 2024-03-03 12:02 UTC, dev",
        "Id: failed:b2",
    ]


def test_a_certificate_that_nobody_trusts_is_refused_before_anything_is_said(
    cert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with postbox(cert) as there:
        error = refused(mail(there.port, **LOGIN))
        assert [said.split()[0].upper() for _, said in there.heard] == ["EHLO", "STARTTLS"]
    assert "certificate is not trusted" in error.what and "SSL_CERT_FILE" in error.fix


def test_a_server_without_tls_gets_no_mail(trusted: Path) -> None:
    with postbox(trusted, starttls=False) as there:
        error = refused(mail(there.port, **LOGIN))
        assert there.mails == [] and not any("AUTH" in said for _, said in there.heard)
    assert "does not offer" in error.what and f"'port' ({there.port})" in error.fix


def test_without_security_and_login_a_mail_goes_in_the_clear(trusted: Path) -> None:
    with postbox(trusted, starttls=False) as there:
        mail(there.port, {}, security="none").deliver([alert()], 5)
        assert len(there.mails) == 1 and not any(safe for safe, _ in there.heard)


def test_a_wrong_password_is_told_without_it(trusted: Path) -> None:
    with postbox(trusted) as there:
        there.login = ("ana", "another")
        assert (
            refused(mail(there.port, **LOGIN)).what
            == "the mail server does not take this user and password (535)"
        )


def test_a_variable_that_is_not_set_is_named(trusted: Path) -> None:
    with postbox(trusted) as there:
        made = mail(there.port, {"SHOP_USER": "ana"}, **LOGIN)
        assert refused(made).what == "the variable SHOP_PASSWORD is not set" and there.heard == []


def test_who_is_refused_beside_others_is_told_in_the_log(
    trusted: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with postbox(trusted) as there:
        there.refused = ("bo@example.org",)
        mail(there.port).deliver([alert()], 5)
        assert [to for to, _ in there.mails] == [["ana@example.org"]]
        assert caplog.messages == ["the mail server takes no mail for bo@example.org"]
        there.refused = ("ana@example.org", "bo@example.org")
        assert "for any of these recipients" in refused(mail(there.port)).what


def test_a_mail_that_is_not_taken_is_told(trusted: Path) -> None:
    with postbox(trusted) as there:
        there.answer = "452 full"
        assert refused(mail(there.port)).what == "the mail server answered 452"


def test_nobody_there_and_nobody_answering_are_told() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert refused(mail(port)).what == "no connection to the mail server: Connection refused"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert refused(mail(port, timeout="0.2s")).what == "the mail server does not answer in time"


def test_the_same_alerts_are_the_same_mail() -> None:
    def name(*alerts: Any) -> Any:
        return message(alerts, "a@b.de", ["c@d.de"])["Message-ID"]

    assert name(alert("a"), alert("b")) == name(alert("a"), alert("b")) != name(alert("b"))


@given(st.text(), st.text(), st.text())
def test_what_strangers_wrote_makes_no_header(title: str, text: str, deployment: str) -> None:
    made = message([alert(title=title, text=text, deployment=deployment)], "a@b.de", ["c@d.de"])
    sent = made.as_bytes()
    head = sent.partition(b"\n\n")[0]
    names = [line.split(b":")[0] for line in head.splitlines() if line[:1] not in (b" ", b"\t")]
    assert {n.lower() for n in names} == {
        b"subject", b"from", b"to", b"date", b"message-id", b"auto-submitted",
        b"content-type", b"content-transfer-encoding", b"mime-version",
    }  # fmt: skip
