"""What ``--help`` says: commands that exist, and what each argument is."""

import pytest

from tests.typed import typed


@pytest.mark.parametrize(
    ("words", "usage", "says"),
    [
        (("site", "join"), "fedcgan site join [OPTIONS] KIT", "What the coordinator sent"),
        (("site", "approve"), "fedcgan site approve [OPTIONS] FOLDER HASH", "first 8 digits"),
        (("plan", "new"), "fedcgan plan new [OPTIONS] CONFIG", "TOML file of a run"),
        (("release",), "fedcgan release [OPTIONS] RUN", "Output of a simulation"),
        (("release", "countersign"), "fedcgan release countersign [OPTIONS] BUNDLE", "What sites sent"),
        (("federation",), "fedcgan federation [OPTIONS] COMMAND", "invite"),
        (("federation", "invite"), "fedcgan federation invite [OPTIONS] NAME", "The site's name"),
        (("schema", "show"), "fedcgan schema show [OPTIONS] PATH", "TOML file"),
        (("verify",), "fedcgan verify [OPTIONS] BUNDLE", "BUNDLE"),
        ((), "fedcgan [OPTIONS] COMMAND", "simulate"),
    ],
)
def test_help_names_the_command_as_it_is_typed(words, usage, says):
    done = typed(*words, "--help")
    assert done.returncode == 0, done.stderr
    assert f"Usage: {usage}" in done.stdout
    assert says in done.stdout


@pytest.mark.parametrize(
    "words", [(), ("track",), ("schema",), ("site",), ("plan",), ("federation",), ("bench",)]
)
def test_without_a_command_there_is_help_and_no_error(words):
    done = typed(*words)
    assert done.returncode == 2
    assert "Usage: fedcgan" in done.stdout + done.stderr
    assert "error" not in done.stderr


def test_what_is_no_command_is_still_an_error():
    done = typed("site", "nonsense")
    assert done.returncode == 2
    assert "usage" in done.stderr
    assert "nonsense" in done.stderr
