"""Secrets: found in files before they are archived, and taken out of whatever goes into a record.

What is found is told by file, line and kind; the secret itself stands in no value, message or record.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

WITHHELD = "(withheld)"
"""Stands in a record in place of a secret."""
_TOKENS = (
    (re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"), "a private key"),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), "an AWS access key"),
    (re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})"), "a GitHub token"),
    (re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}"), "a GitLab token"),
    (re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"), "a Slack token"),
    (re.compile(r"https://hooks\.slack\.com/services/[A-Za-z0-9/]{20,}"), "a Slack webhook"),
    (re.compile(r"\bAIza[0-9A-Za-z_-]{35}"), "a Google key"),
    (re.compile(r"\b[sr]k_live_[0-9A-Za-z]{16,}"), "a Stripe key"),
    (re.compile(r"\bsk-(?:[a-z]{2,8}-)*[A-Za-z0-9_-]{32,}"), "an API key"),
    (re.compile(r"\bhf_[A-Za-z0-9]{30,}"), "a Hugging Face token"),
    (re.compile(r"\bpypi-[A-Za-z0-9_-]{50,}"), "a PyPI token"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{10,}"), "a JSON web token"),
)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{1,30}://)([^\s/@:'\"<>]*):([^\s/@'\"<>]+)@")
_SIGNED = re.compile(
    r"([?&](?:sig|signature|token|access_token|api_?key|key|secret|password|x-amz-signature|x-amz-security-token"
    r"|x-amz-credential|x-goog-signature)=)([^&\s'\"]+)",
    re.IGNORECASE,
)
_WORDS = r"(?:password|passwd|passphrase|pwd|secret|secret_?key|token|api_?key|access_?key|private_?key|auth_?key|credentials?)"
_SECRET_NAME = re.compile(rf"(?:^|.*[_\W]){_WORDS}[0-9]{{0,2}}$", re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"(?P<name>[\w.-]*{_WORDS}[0-9]{{0,2}})[\"']?\]?\s*(?::\s*str\s*)?(?:=|:)\s*(?:[rbu]{{0,2}}(?P<quote>[\"'])(?P<quoted>.*?)(?P=quote)"
    r"|(?P<plain>[^\s\"'#,(\[{][^\s#]*)\s*(?:#.*)?$)",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"^(?:[<\[{(].*|.*[{<$%].*|\*+|x+|\.+|none|null|true|false|changeme|env|str(?:ing)?|text|u?int(?:eger)?(?:8|16|32|64)?|float(?:32|64)?|bool(?:ean)?|number|decimal|date(?:time)?|time|bytes|mixed|object|category|m?[cn]?ar)$",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$")
_HINTS = (
    *("password", "passwd", "passphrase", "pwd", "secret", "token", "credential", "private key"),
    *(f"{kind}{mark}key" for kind in ("api", "access", "private", "auth") for mark in ("", "_")),
    *("://", "akia", "asia", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox"),
    *("aiza", "sk-", "k_live_", "hf_", "pypi-", "eyj"),
)
"""No secret stands in a line without one of these, in small letters: looking for them is quick."""
SHORTEST = 4


@dataclass(frozen=True)
class Leak:
    """A place that seems to hold a secret: its line, from 1, and what kind it seems to be."""

    line: int
    kind: str


def leaks(text: str, *, yaml: bool = False) -> Iterator[Leak]:
    """Places in a file that seem to hold secrets: private keys, tokens, URLs with a password, passwords in assignments.

    Parameters
    ----------
    text
        Content of the file.
    yaml
        Whether values stand without quotes, as in YAML and TOML. In Python such a value is a name or a call, and no secret.
    """
    lines = text.split("\n")
    for number in _hinted(text.lower()):
        kind = _kind(lines[number], yaml)
        if kind:
            yield Leak(number + 1, kind)


def _hinted(text: str) -> list[int]:
    """Lines, from 0, with a hint in them."""
    found: set[int] = set()
    starts = [0, *(m.end() for m in re.finditer("\n", text))]
    for hint in _HINTS:
        at = text.find(hint)
        while at >= 0:
            found.add(bisect_right(starts, at) - 1)
            at = text.find(hint, at + 1)
    return sorted(found)


def _kind(line: str, yaml: bool) -> str:
    for pattern, kind in _TOKENS:
        if pattern.search(line):
            return kind
    if any(not _PLACE.match(m[3]) for m in _URL.finditer(line)):
        return "a URL with a password"
    for match in _ASSIGNED.finditer(line):
        value = match["quoted"] if match["quote"] else match["plain"] if yaml else ""
        if _secret(match["name"], value or ""):
            return "a password in an assignment"
    return ""


def _secret(name: str, value: str) -> bool:
    """Whether a value assigned to such a name is a secret, and not where to find one."""
    if not _SECRET_NAME.match(name) or len(value) < SHORTEST or _PLACE.match(value) or _VARIABLE.match(value):
        return False
    if re.search(r"token[0-9]{0,2}$", name, re.IGNORECASE):
        # A token may be a word of a text; one that opens a door has letters and digits.
        return (
            len(value) >= 8
            and bool(re.search(r"[0-9]", value) and re.search(r"[A-Za-z]", value))
            and " " not in value
        )
    return " " not in value.strip() or "phrase" in name.lower()


def scrubbed(value: Any, name: str = "") -> Any:
    """A JSON value without secrets: what stands under the name of one, tokens, and passwords in URLs are withheld.

    Names of environment variables, references such as ``${NAME}`` and everything else stay as they are.
    """
    if isinstance(value, Mapping):
        return {scrubbed_text(k) if isinstance(k, str) else k: scrubbed(v, str(k)) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [scrubbed(v, name) for v in value]
    if not isinstance(value, str):
        return value
    if _secret(name, value):
        return WITHHELD
    return scrubbed_text(value)


def scrubbed_text(text: str) -> str:
    """Text without tokens, and with URLs without passwords and signatures."""
    if "://" in text:
        text = _URL.sub(lambda m: m[0] if _PLACE.match(m[3]) else f"{m[1]}{WITHHELD}@", text)
        text = _SIGNED.sub(lambda m: f"{m[1]}{WITHHELD}", text)
    if len(text) >= 16:
        for pattern, _ in _TOKENS:
            text = pattern.sub(WITHHELD, text)
    return text


def named_secret(name: str) -> bool:
    """Whether a column or key of that name holds secrets."""
    return bool(_SECRET_NAME.match(name))
