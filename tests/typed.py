"""A command of fedcgan typed here: its console entry, in a process that has imported everything already."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from subprocess import CompletedProcess
from unittest.mock import patch

from common.launch import main


def typed(*words, answer=""):
    """Run it to its end. words: what follows ``fedcgan``; answer: all that can be read on standard input."""
    out, err = io.StringIO(), io.StringIO()
    line = ["fedcgan", *map(str, words)]
    with (
        patch.object(sys, "argv", list(line)),
        patch.object(sys, "path", list(sys.path)),
        patch.object(sys, "stdin", io.StringIO(answer)),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = main()
    return CompletedProcess(line, code, out.getvalue(), err.getvalue())
