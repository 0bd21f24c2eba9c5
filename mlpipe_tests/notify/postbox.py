"""A mail server on this machine for tests: SMTP with STARTTLS or TLS and a login, as far as smtplib speaks it."""

import base64
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import cast


@dataclass
class Postbox:
    """What came in: who spoke in the clear or under TLS, and the mails with their recipients."""

    port: int = 0
    login: tuple[str, str] | None = None
    refused: tuple[str, ...] = ()
    answer: str = "250 taken"
    heard: list[tuple[bool, str]] = field(default_factory=list)
    mails: list[tuple[list[str], EmailMessage]] = field(default_factory=list)


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 and its key, in one file; who trusts it names it in SSL_CERT_FILE."""
    made, key = folder / "cert.pem", folder / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run(
        [*new, "-days", "2", *names, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True
    )
    return made


@contextmanager
def postbox(cert: Path, *, tls: bool = False, starttls: bool = True) -> Iterator[Postbox]:
    """A server on a port of its own; `tls`: from the first byte."""
    made = Postbox()
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(cert, cert.with_name("key.pem"))

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.safe, self.line, self.to = False, self.request, list[str]()
            # A client that does not trust the certificate hangs up.
            with suppress(OSError):
                if tls:
                    self.secured()
                self.file = self.line.makefile("rb")
                self.say("220 here")
                while (said := self.file.readline()) and self.answered(said.decode().rstrip("\r\n")):
                    pass
                self.file.close()
            self.line.close()

        def secured(self) -> None:
            self.line, self.safe = secure.wrap_socket(self.line, server_side=True), True

        def say(self, text: str) -> None:
            self.line.sendall(f"{text}\r\n".encode())

        def answered(self, said: str) -> bool:
            made.heard.append((self.safe, said))
            word = said[:4].upper()
            if word == "EHLO":
                offers = ["AUTH PLAIN", *(["STARTTLS"] if starttls and not self.safe else [])]
                self.say("\r\n".join(["250-here", *(f"250-{o}" for o in offers[:-1]), f"250 {offers[-1]}"]))
            elif word == "STAR":
                self.say("220 go")
                self.file.close()
                self.secured()
                self.file = self.line.makefile("rb")
            elif word == "AUTH":
                given = base64.b64decode(said.split()[2]).decode().split("\0")[1:]
                self.say("235 in" if tuple(given) == made.login else f"535 not {given[1]}")
            elif word == "RCPT":
                name = said.partition("<")[2].partition(">")[0]
                self.to += [] if name in made.refused else [name]
                self.say("550 nobody" if name in made.refused else "250 ok")
            elif word == "DATA":
                self.say("354 go on")
                text = b""
                while (line := self.file.readline()) != b".\r\n":
                    text += line.removeprefix(b".")
                if made.answer.startswith("250"):
                    mail = cast(EmailMessage, BytesParser(policy=default).parsebytes(text))
                    made.mails.append((self.to, mail))
                self.say(made.answer)
            else:
                self.say("221 bye" if word == "QUIT" else "250 ok")
            return word != "QUIT"

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        made.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
