"""What people are told of a file of theirs that cannot be taken: where, what, and what to do."""

import pytest

from common.errors import ConfigError, SchemaError
from common.run_config import load_run
from common.schema import Schema

WHOLE = """
name = "toy"
[[columns]]
name = "sex"
kind = "category"
categories = ["f", "m"]
condition = true
[[columns]]
name = "age"
kind = "number"
bounds = [0, 100]
decimals = 0
cuts = [50]
"""


def change(old, new):
    return WHOLE.replace(old, new)


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        (change("condition = true", ""), "at least one category column", "correct it"),
        (change("[0, 100]", "[100, 0]"), "ascend", "0 is the first"),
        (WHOLE + "binz = 1", "binz", "spelled"),
        (change('name = "toy"', ""), "name: Field required", "add it"),
        (change("[[columns]]", "[columns"), "is not TOML", "[section]"),
        (change('name = "toy"', 'kind = "sound"'), "kinds are", "table"),
        (None, "cannot be read", "right file"),
    ],
)
def test_a_schema_that_is_none(tmp_path, text, says, hint):
    path = tmp_path / "schema.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SchemaError) as refused:
        Schema.load(path)
    assert says in refused.value.message
    assert hint in refused.value.hint
    assert "Value error" not in refused.value.message


def test_a_name_of_another_form(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('name = "my study"')
    with pytest.raises(ConfigError, match=r"name: not of the form") as refused:
        load_run(path)
    assert "allowed" in refused.value.hint
