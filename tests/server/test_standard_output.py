"""Standard output that is closed, full or not read to its end, of both programs that draw records."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer

from common import terminal
from common.launch import APPLICATION, command
from common.sampler import cli, memory, sampling
from common.sampler.errors import RequestError
from server import cli as coordinator
from server.onnx_export import export_onnx
from tests import released, toy_arrays

ALONE = f"import sys; sys.path.insert(0, {str(APPLICATION)!r}); from common.sampler.cli import main; "
PROGRAMS = {
    "fedcgan": (*command(), "sample", "--from"),
    "fedcgan-sample": (sys.executable, "-I", "-c", ALONE + "sys.exit(main())"),
}
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full here")


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    path = tmp_path_factory.mktemp("release") / "generator.onnx"
    export_onnx(released.table(), path)
    return path


def ended(program, generator, *options, into):
    """Exit code and standard error of a shell's line."""
    words = [*PROGRAMS[program], str(generator), *options]
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'"$@" {into}', "bash", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_closed_standard_output_is_an_error_that_says_so(program, generator):
    code, told = ended(program, generator, "-n", "3", into=">&-")
    assert code == 6
    assert "standard output is closed" in told
    assert "Traceback" not in told


@FULL
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("count", ["3", "300000"])
def test_full_standard_output_is_an_error_once(program, generator, count):
    code, told = ended(program, generator, "-n", count, into="> /dev/full")
    assert code == 6
    assert "No space left" in told
    assert "Traceback" not in told
    assert "Exception ignored" not in told


@FULL
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("wrong", [(), ("--where", "nothing=1")])
def test_an_envelope_that_cannot_be_written_is_said_on_standard_error(program, generator, tmp_path, wrong):
    options = ("-n", "3", "-o", str(tmp_path / "out.csv"), "--json", *wrong)
    code, told = ended(program, generator, *options, into="> /dev/full")
    assert code == (2 if wrong else 6)
    assert ("is no column" if wrong else "No space left") in told
    assert "Traceback" not in told
    assert "Exception ignored" not in told


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(("count", "reader"), [("100000", "head -n 1"), ("3", "true")])
def test_a_reader_that_has_seen_enough_ends_both_programs_quietly(program, generator, count, reader):
    code, told = ended(program, generator, "-n", count, into=f"| {reader}")
    assert code == 0
    assert "Broken" not in told
    assert "Exception ignored" not in told


def test_what_is_said_to_people_may_be_cut_short_too(generator, tmp_path):
    code, told = ended("fedcgan", generator, "-n", "3", "-o", str(tmp_path / "out.csv"), into="| true")
    assert code == 0
    assert "Broken" not in told


def test_more_records_than_memory_are_refused_before_anything_is_drawn(monkeypatch):
    made, kind = released.table(), released.arrays(toy_arrays.DIGITS)
    monkeypatch.setattr(memory, "available", lambda: 1e6)
    asked = []

    def network(*inputs):
        asked.append(inputs)
        return made.chances(*inputs)

    with pytest.raises(RequestError, match="GB of memory") as caught:
        sampling.sample(made.table, network, 10**6)
    assert "--seed" in caught.value.hint
    assert asked == []
    from common.sampler.arrays import sample_arrays

    with pytest.raises(RequestError, match="GB of memory"):
        sample_arrays(kind.kind, kind.values, 10**6)


def test_memory_is_what_the_kernel_says(tmp_path):
    path = tmp_path / "meminfo"
    assert memory.available(path) == float("inf")
    path.write_text("MemTotal:  9 kB\nMemAvailable:   5 kB\nSwapFree:  2 kB\n")
    assert memory.available(path) == 7 * 1024


@pytest.mark.parametrize("as_json", [True, False])
def test_memory_that_ends_while_drawing_is_a_typed_error(generator, tmp_path, monkeypatch, capsys, as_json):
    def short(*_):
        raise MemoryError

    monkeypatch.setattr(sampling, "sample", short)
    monkeypatch.setattr(cli, "sample", short)
    options = ["-o", str(tmp_path / "out.csv"), *(["--json"] if as_json else [])]
    codes, said = [cli.main([str(generator), *options])], [capsys.readouterr()]
    monkeypatch.setattr("sys.argv", ["fedcgan", "sample", "--from", str(generator), *options])
    codes.append(coordinator.main())
    said.append(capsys.readouterr())
    assert codes == [2, 2]
    for out, err in said:
        assert "--seed" in (json.loads(out)["error"]["hint"] if as_json else err)


@pytest.mark.parametrize("as_json", [True, False])
def test_memory_that_ends_in_any_command_is_no_fault_of_ours(monkeypatch, capsys, as_json):
    app = typer.Typer()

    @app.command()
    def greedy(as_json: Annotated[bool, typer.Option("--json")] = False):
        raise MemoryError

    monkeypatch.setattr("sys.argv", ["fedcgan", *(["--json"] if as_json else [])])
    assert terminal.guarded(app) == 2
    out, err = capsys.readouterr()
    assert "too little memory" in out + err
