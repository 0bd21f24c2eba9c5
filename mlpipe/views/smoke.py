"""The smoke test as a table for people and as JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlpipe.errors import SHOWN
from mlpipe.views.table import printable, table

Checks = Sequence[Mapping[str, Any]]
MARKS = {"ok": "ok", "warning": "warning", "failed": "FAILED", "not applicable": "not applicable"}
FAILED = "failed"


def as_text(name: str, checks: Checks) -> str:
    """A line for each check, the findings behind those that are not well, and what it comes to.

    Parameters
    ----------
    name
        The pipeline.
    checks
        Of each its ``name``, ``status`` (a key of `MARKS`), ``sentence``, ``findings`` and ``seconds``.
    """
    rows = [[str(c["name"]), MARKS[c["status"]], str(c["sentence"]), f"{c['seconds']:.1f} s"] for c in checks]
    parts = [table([name, "result", "what was seen", "took"], rows)]
    parts += [_findings(c) for c in checks if c["findings"]]
    failed = [str(c["name"]) for c in checks if c["status"] == FAILED]
    warned = [str(c["name"]) for c in checks if c["status"] == "warning"]
    seconds = sum(float(c["seconds"]) for c in checks)
    verdict = f"{name} failed: {', '.join(failed)}" if failed else f"{name} is good"
    more = f"; look at {', '.join(warned)}" if warned else ""
    parts.append(f"{verdict}{more}. {seconds:.0f} s.")
    return "\n\n".join(parts)


def _findings(check: Mapping[str, Any]) -> str:
    found = [printable(str(f)) for f in check["findings"]]
    lines = [f"{check['name']}:", *(f"  - {f}" for f in found[:SHOWN])]
    if len(found) > SHOWN:
        lines.append(f"  … and {len(found) - SHOWN} more")
    return "\n".join(lines)


def as_json(name: str, checks: Checks) -> str:
    """One JSON object on one line: the pipeline, whether it passed, and every check with all its findings."""
    body = {
        "pipeline": name,
        "passed": all(c["status"] != FAILED for c in checks),
        "checks": [dict(c) for c in checks],
    }
    return json.dumps(body, ensure_ascii=False)
