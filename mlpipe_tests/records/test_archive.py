"""The archive of a project's code: all that it is declared with and runs on, nothing hidden and nothing secret."""

import io
import os
import zipfile
from pathlib import Path

from mlpipe.records.archive import ARCHIVE_LIMIT, archive, archive_id, archived, project_of


def project(folder: Path) -> Path:
    (folder / "package" / "deep").mkdir(parents=True)
    (folder / "package" / "a.py").write_text("A = 1")
    (folder / "package" / "deep" / "b.yaml").write_text("b: 1")
    (folder / "notes.txt").write_text("no code")
    (folder / "big.py").write_text("#" * (2**20 + 1))
    for hidden in (".venv", ".git", "venv", "node_modules", "__pycache__", "package/.cache", "build"):
        (folder / hidden).mkdir(parents=True)
        (folder / hidden / "c.py").write_text("secret")
    (folder / ".env.py").write_text("secret")
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "d.py").write_text("secret")
    (folder / "linked").symlink_to(outside)
    (folder / "link.py").symlink_to(outside / "d.py")
    return folder


def test_an_archive_holds_the_projects_code_and_nothing_hidden(tmp_path: Path) -> None:
    data = archive(project(tmp_path / "project"))
    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        assert bundle.namelist() == ["package/a.py", "package/deep/b.yaml"]
        assert bundle.read("package/a.py") == b"A = 1"
    assert b"secret" not in data


def test_an_archive_is_the_same_for_the_same_files(tmp_path: Path) -> None:
    first, second = (project(tmp_path / n / "project") for n in ("one", "two"))
    os.utime(second / "package" / "a.py", (1, 1))
    assert archive(first) == archive(second)
    assert archive_id(archive(first)) == archive_id(archive(second))
    (second / "package" / "a.py").write_text("A = 2")
    assert archive_id(archive(first)) != archive_id(archive(second))


def test_an_archive_has_a_limit(tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / f"m{i:02}.py").write_text("#" * (2**20 - i))
    data = archive(tmp_path)
    assert len(data) < ARCHIVE_LIMIT + 10_000
    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        assert bundle.namelist() == [f"m{i:02}.py" for i in range(4, 12)]


def names(data: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        return bundle.namelist()


def test_a_pipeline_in_a_subfolder_brings_its_whole_project(tmp_path: Path) -> None:
    (tmp_path / "shop" / "defs" / "churn").mkdir(parents=True)
    (tmp_path / "shop" / "pyproject.toml").write_text("[project]")
    (tmp_path / "shop" / "prices.py").write_text("P = 1")
    (tmp_path / "shop" / "defs" / "churn" / "defs.yaml").write_text("a: 1")
    (tmp_path / "shop" / "defs" / "churn" / "suite.json").write_text("{}")
    (tmp_path / "other.py").write_text("O = 1")
    made = archived(tmp_path / "shop" / "defs" / "churn", ["suite.json", "../../../other.py", "none.json"])
    assert project_of(tmp_path / "shop" / "defs") == tmp_path / "shop" and project_of(tmp_path) == tmp_path
    assert made.base == "defs/churn" and made.withheld == {}
    assert names(made.data) == [
        "defs/churn/defs.yaml",
        "defs/churn/suite.json",
        "prices.py",
        "pyproject.toml",
    ]
    assert archived(tmp_path / "shop").base == ""


SECRET = "hunter2-" + "f3a9"


def test_a_file_with_a_secret_is_withheld_whole_and_named_by_line(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("import os\npassword = os.environ['DB_PASSWORD']\n")
    (tmp_path / "bad.py").write_text(f"import os\n\npassword = '{SECRET}'\n")
    (tmp_path / "conf.yaml").write_text(f"a: 1\nsecret: {SECRET}\ntoken: {SECRET}\n")
    (tmp_path / "key.py").write_text('KEY = """\n-----BEGIN ' + 'PRIVATE KEY-----\nMIIE\n"""\n')
    (tmp_path / "strange.py").write_bytes(b"\xff\xfe x = 1")
    made = archived(tmp_path)
    assert names(made.data) == ["good.py", "strange.py"]
    assert made.withheld == {
        "bad.py": "line 3 seems to hold a password in an assignment",
        "conf.yaml": "line 2 seems to hold a password in an assignment, and 1 more line",
        "key.py": "line 2 seems to hold a private key",
    }
    assert SECRET.encode() not in made.data and SECRET not in str(made.withheld)


def test_what_is_too_large_is_said(tmp_path: Path) -> None:
    (tmp_path / "big.py").write_text("#" * (2**20 + 1))
    for i in range(9):
        (tmp_path / f"m{i}.py").write_text("#" * (2**20 - i))
    assert archived(tmp_path).withheld == {
        "big.py": "it is larger than 1 MiB",
        "m0.py": "the archive would be larger than 8 MiB with it",
    }
