"""Planted secrets are found, named by line and kind, and never told; what only speaks of secrets is left alone."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.records.secrets import WITHHELD, Leak, leaks, named_secret, scrubbed

# Put together here, so that no scanner takes this file for a leak.
GITHUB = "ghp_" + "a1B2" * 9
AWS = "AKIA" + "QWERTYUIOPASDFGH"
KEY = "-----BEGIN RSA " + "PRIVATE KEY-----"
JWT = "eyJ" + "a" * 20 + ".eyJ" + "b" * 20 + "." + "c" * 20

PLANTED = {
    f'x = "{GITHUB}"': "a GitHub token",
    f"    {KEY}": "a private key",
    f'client = S3("{AWS}")': "an AWS access key",
    f"# {JWT}": "a JSON web token",
    'db = "postgresql://ann:hunter2@db.example.com/shop"': "a URL with a password",
    'password = "hunter2"': "a password in an assignment",
    "os.environ['DB_PASSWORD'] = 'hunter2'": "a password in an assignment",
    'connect(user="ann", password="hunter2")': "a password in an assignment",
    '{"api_key": "k3y-0123456789"}': "a password in an assignment",
    'SLACK_TOKEN: str = "a1b2c3d4e5f6"': "a password in an assignment",
    'self.client_secret = r"s3cr3t"': "a password in an assignment",
}
HARMLESS = [
    'password = os.environ["DB_PASSWORD"]',
    'password = getpass("Password: ")',
    'secret_env="SLACK_SECRET"',
    'url = "postgresql://ann:${DB_PASSWORD}@db/shop"',
    'url = f"postgresql://{user}:{password}@db/shop"',
    'pad_token = "[PAD]"',
    'unknown_token = "unknown_word"',
    'CountVectorizer(token_pattern=r"[a-z0-9]{2,}x")',
    'tokenizer = "bert-base-uncased1"',
    'features = ["password_age", "token_count"]',
    'password = ""',
    'PASSWORD_VARIABLE = "DB_PASSWORD"',
    'api_key = "MY_API_KEY"',
    'secret = "<your secret>"',
    "def check(password: str) -> bool:",
    "if password == other: pass",
    'link = "https://example.com/a?b=c"',
    'sort_key = "user_id"',
    'primary_key: "id"',
]


@pytest.mark.parametrize("line", list(PLANTED))
def test_a_planted_secret_is_found_by_line_and_kind(line: str) -> None:
    assert list(leaks(f"import os\n{line}\nx = 1\n")) == [Leak(2, PLANTED[line])]


@pytest.mark.parametrize("line", HARMLESS)
def test_what_only_speaks_of_a_secret_is_none(line: str) -> None:
    assert list(leaks(line)) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("password: hunter2", 1),
        ("  api_key: k3y0123456789  # ours", 1),
        ("password: ${DB_PASSWORD}", 0),
        ("password: {{ env.DB_PASSWORD }}", 0),
        ("url_env: SLACK_URL", 0),
        ("secret: ", 0),
        ("missing: {token: mcar}", 0),
    ],
)
def test_values_of_yaml_need_no_quotes(line: str, found: int) -> None:
    assert len(list(leaks(line, yaml=True))) == found


SECRETS = ["hunter2", GITHUB, AWS, JWT, "s3cr3t-9"]


def test_a_value_is_scrubbed_wherever_a_secret_stands() -> None:
    value = {
        "url": "postgresql://ann:hunter2@db/shop",
        "signed": "https://x.blob/y?sv=1&sig=s3cr3t-9&z=2",
        "deep": [{"password": "hunter2", "n": 3, "note": f"see {GITHUB} there"}],
        "api_key": ["hunter2", 5],
        "tuple": (AWS, None, True, 0.5),
        f"key {JWT}": "kept",
        "password_env": "DB_PASSWORD",
        "reference": "postgresql://ann:${PW}@db/shop",
    }
    found = scrubbed(value)
    text = json.dumps(found)
    assert not [s for s in SECRETS if s in text]
    assert found["url"] == f"postgresql://{WITHHELD}@db/shop"
    assert found["signed"] == f"https://x.blob/y?sv=1&sig={WITHHELD}&z=2"
    assert found["deep"] == [{"password": WITHHELD, "n": 3, "note": f"see {WITHHELD} there"}]
    assert found["api_key"] == [WITHHELD, 5] and found["tuple"] == [WITHHELD, None, True, 0.5]
    assert (found["password_env"], found["reference"]) == (value["password_env"], value["reference"])


plain = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.text("abc xyz_-/", max_size=12),
    ),
    lambda t: st.one_of(
        st.lists(t, max_size=3), st.dictionaries(st.text("abcxyz", max_size=6), t, max_size=3)
    ),
)


@given(plain)
def test_what_holds_no_secret_stays_as_it_is(value: Any) -> None:
    assert scrubbed(value) == value


@given(st.text(), st.text(st.characters(categories=["L", "N"]), min_size=4, max_size=30))
def test_no_password_of_a_url_survives(before: str, password: str) -> None:
    unlikely = f"Q7{password}7Q"
    assert unlikely not in scrubbed(f"{before} mysql://ann:{unlikely}@host/db")


def test_columns_are_known_by_their_names() -> None:
    assert [named_secret(n) for n in ("password", "user_token", "ApiKey", "tokens_used", "secretary")] == [
        True,
        True,
        True,
        False,
        False,
    ]
