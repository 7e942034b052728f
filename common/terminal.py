"""What every command has in common: one JSON envelope, errors with a hint, fixed exit codes."""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import sys
from collections.abc import Callable
from typing import Any

import click
import typer
import typer.main
from rich.console import Console, ConsoleDimensions
from rich.markup import escape
from typer.utils import get_params_from_function

from .errors import (
    ConfigError,
    FedcganError,
    InterruptedRunError,
    StorageError,
    UsageError,
    exit_code_of,
)
from .sampler import standard

ENVELOPE_VERSION = 1

_UNCUT = 10_000  # columns: a file and a program have as many as a line needs


class _Terminal(Console):
    """A console that leaves it to ``guarded`` what a broken pipe means."""

    def on_broken_pipe(self) -> None:
        """Not the end of the program, as it would be else."""
        raise  # noqa: PLE0704 - what is being handled


class _Output(_Terminal):
    """Standard output: as wide as the terminal, and whole where it is none. A piped table is never cut."""

    @property
    def size(self) -> ConsoleDimensions:
        """The terminal's, or room for the longest line."""
        found = super().size
        return found if self.is_terminal else ConsoleDimensions(_UNCUT, found.height)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size


output = _Output()
messages = _Terminal(stderr=True)


def print_result(data: dict[str, Any], as_json: bool, human: Callable[[], None]) -> None:
    """The result of a command: an envelope on standard output, or ``human()``."""
    if as_json:
        _print_json({"status": "ok", "data": data})
    else:
        human()


def print_failure(
    code: str, message: str, hint: str, data: dict[str, Any], as_json: bool, human: Callable[[], None]
) -> None:
    """The result of a command that looked at much and found a failure: all it saw is in the envelope, too."""
    if as_json:
        _print_json({"status": "error", "error": _detail(code, message, hint), "data": data})
    else:
        human()


def say(text: str) -> None:
    """A sentence to whoever watches, beside the result."""
    messages.print(text, highlight=False, soft_wrap=True)


def guarded(app: typer.Typer) -> int:
    """Run a command line; every failure becomes a code, a hint and an exit code."""
    as_json = "--json" in sys.argv
    if sys.stderr is None:
        sys.stderr = io.StringIO()  # closed: what is said there is lost, the rest goes on
    if sys.stdout is None:
        return _report(StorageError(standard.CLOSED, hint=standard.HINT), False)
    try:
        return _run(app, as_json)
    except OSError as error:
        return _unwritten(error, as_json)
    except SystemExit as left:  # how typer leaves when a pipe breaks
        if not isinstance(left.__context__, BrokenPipeError):
            raise
        return _unwritten(left.__context__, as_json)


def _run(app: typer.Typer, as_json: bool) -> int:
    try:
        code = _command(app)(standalone_mode=False, prog_name=app.info.name)
        if code == InterruptedRunError.exit_code:  # typer has swallowed a Ctrl-C
            raise KeyboardInterrupt
        sys.stdout.flush()
    except FedcganError as error:
        return _report(error, as_json)
    except click.UsageError as error:
        return _unusable(error.format_message(), as_json)
    except (KeyboardInterrupt, click.Abort):
        stopped = InterruptedRunError(
            "stopped; what was finished is kept", hint="run again with --resume to go on from there"
        )
        return _report(stopped, as_json)
    except OSError:
        raise
    except MemoryError:
        short = ConfigError("this machine has too little memory for it", hint="ask for less, or free some")
        return _report(short, as_json)
    except Exception as error:
        if not as_json:
            raise  # a fault of ours: for people its whole trace, to be reported
        fault = FedcganError(f"{type(error).__name__}: {error}", hint="a fault of ours: please report it")
        return _report(fault, as_json)
    return code if isinstance(code, int) else 0


def _unwritten(error: OSError, as_json: bool) -> int:
    """Whoever read our output may have seen enough, which is no failure; all else is one."""
    if standard.nobody_reads():
        standard.discard()
        return 0
    if standard.is_full():
        standard.discard()
        return _report(StorageError(f"{standard.FULL}: {error.strerror}", hint=standard.HINT), False)
    about = f": {error.filename}" if error.filename else ""
    return _report(StorageError(f"{error.strerror}{about}"), as_json)


def _unusable(said: str, as_json: bool) -> int:
    if not said:  # no command was given: the help is printed already
        return UsageError.exit_code
    return _report(UsageError(said, hint="--help says what is possible"), as_json)


def _command(app: typer.Typer) -> click.Command:
    """The command line of ``app``, its arguments with their help, which click from 8.5 on takes from them."""
    command = typer.main.get_command(app)
    pending = [command] if "--help" in sys.argv else []
    while pending:
        one = pending.pop()
        pending += one.commands.values() if isinstance(one, click.Group) else []
        bare = [p for p in one.params if isinstance(p, click.Argument) and not getattr(p, "help", None)]
        if bare and one.callback is not None:
            told = get_params_from_function(inspect.unwrap(one.callback))
            for argument in bare:
                # not an attribute of every click that we take
                vars(argument)["help"] = getattr(told[argument.name or ""].default, "help", None)
    return command


def _report(error: FedcganError, as_json: bool) -> int:
    if as_json:
        try:
            _print_json({"status": "error", "error": _detail(error.told, error.message, error.hint)})
        except OSError:  # what went wrong may be standard output itself
            standard.discard()
            as_json = False
    if not as_json:
        with contextlib.suppress(OSError):
            _tell(error)
    return exit_code_of(error.told)


def _tell(error: FedcganError) -> None:
    messages.print(f"[bold red]error[/] [dim]{escape(error.told)}[/]", end="  ", highlight=False)
    messages.print(error.message, markup=False, highlight=False, soft_wrap=True)
    if error.hint:
        messages.print("hint   " + error.hint, markup=False, highlight=False, soft_wrap=True)


def _detail(code: str, message: str, hint: str) -> dict[str, str]:
    return {"code": code, "message": message, "hint": hint}


def _print_json(content: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"schema_version": ENVELOPE_VERSION, **content}, indent=2) + "\n")
    sys.stdout.flush()
