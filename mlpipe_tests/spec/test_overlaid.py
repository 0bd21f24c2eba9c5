"""Part of a specification in a file of its own: what it replaces, what it leaves, and what it may not hold."""

from pathlib import Path

import pytest

from mlpipe.errors import NotFoundError, SpecError
from mlpipe.spec.overlaid import JUDGING, contracted_by, judged_by
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe_tests.spec.declared import declared


def file(folder: Path, text: str) -> Path:
    made = folder / "rule.yaml"
    made.write_text(text)
    return made


def told(caught: pytest.ExceptionInfo[SpecError]) -> list[str]:
    return [f"{f.where.rpartition('/')[2]}: {f.what}" for f in caught.value.findings]


def test_keys_that_are_given_are_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    before = declared()
    text = "gates:\n  - beats_champion: {metric: f1, margin: 1%}\nbootstrap: 300\nmin_tenure: 2d\n"
    after = judged_by(before, file(tmp_path, text))
    assert [(g.kind, g.params) for g in after.gates] == [("beats_champion", {"metric": "f1", "margin": "1%"})]
    assert after.bootstrap == 300 and after.min_tenure.days == 2
    changed = {n for n in PipelineSpec.model_fields if getattr(after, n) != getattr(before, n)}
    assert changed == {"gates", "bootstrap", "min_tenure"}
    assert PipelineSpec.model_fields.keys() >= JUDGING, "a key that the pipeline has no more"


def test_a_function_of_ones_own_is_found_beside_the_pipeline(tmp_path: Path) -> None:
    (tmp_path / "strict.py").write_text("def sure(evidence):\n    return True\n")
    before = declared().model_copy(update={"base_dir": tmp_path})
    after = judged_by(before, file(tmp_path, "gates:\n  - custom: {function: 'strict:sure'}\n"))
    assert after.gates[0].params["function"]({}) is True
    with pytest.raises(SpecError) as caught:
        judged_by(before, file(tmp_path, "gates:\n  - custom: {function: 'strict:unsure'}\n"))
    assert len(told(caught)) == 1 and told(caught)[0].startswith("rule.yaml:2, key gates.0.custom.function: ")


def test_a_contract_of_the_primary_source_or_of_each_by_name(tmp_path: Path) -> None:
    before = declared()
    inside = "columns:\n  hours: {min: 0, max: 24}\nfloor: 0.9\n"
    name = before.primary
    indented = "\n".join(f"      {line}" for line in inside.splitlines())
    for text in (
        inside,
        "contract: {columns: {hours: {min: 0, max: 24}}, floor: 0.9}\n",
        f"sources:\n  {name}:\n    contract:\n{indented}\n",
    ):
        after = contracted_by(before, file(tmp_path, text))
        made = after.sources[name].contract
        assert (made.columns["hours"].max, made.floor) == (24.0, 0.9)
        assert after.model_copy(update={"sources": before.sources}) == before


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "gates: []\nwindow: 3d\n",
            ["rule.yaml:2, key window: 'window' decides nothing about a trained model."],
        ),
        (
            "levels: {freeze_promotions: true}\n",
            [
                "rule.yaml:1, key levels: 'levels' is about days as they were watched; a trial judges candidates again"
            ],
        ),
        ("gatez: []\n", ["rule.yaml:1, key gatez: 'gatez' is no key of a pipeline. Did you mean 'gates'?"]),
        (
            "bootstrap: 2\nblocks: [1]\n",
            ["rule.yaml:2, key blocks: must be text", "rule.yaml:1, key bootstrap: must be"],
        ),
        (
            "gates:\n  - at_least: {metric: roc_auk, value: 1}\n",
            ["rule.yaml:2, key gates.0.at_least.metric: "],
        ),
        (
            "gates:\n  - at_least: {metric: f1}\n",
            ["rule.yaml:2, key gates.0.at_least: gate at_least needs value"],
        ),
    ],
)
def test_every_mistake_has_its_line_and_key(tmp_path: Path, text: str, found: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        judged_by(declared(), file(tmp_path, text))
    lines = sorted(told(caught))
    assert len(lines) == len(found)
    for line, start in zip(lines, sorted(found), strict=True):
        assert line.startswith(start), line


def test_a_file_that_is_not_there_or_holds_something_else(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="cannot be read"):
        judged_by(declared(), tmp_path / "none.yaml")
    with pytest.raises(SpecError, match="a policy is one mapping"):
        judged_by(declared(), file(tmp_path, "- 1\n"))
    with pytest.raises(SpecError, match="a contract is one mapping"):
        contracted_by(declared(), file(tmp_path, "a: 1\n---\nb: 2\n"))
