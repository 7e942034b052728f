"""The wheelhouse's script, as far as it goes without a network; deploy/README.md says when it ran whole."""

import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "wheelhouse.sh"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, *words], capture_output=True, text=True, check=False)


def test_without_a_folder_it_says_how_it_is_used():
    for words in ((), ("--help",)):
        done = run(*words)
        assert done.returncode == 2
        assert "deploy/wheelhouse.sh FOLDER" in done.stderr
        assert "--no-index --find-links" in done.stderr
        assert "'fedcgan[dicom,edf,wfdb]'" in done.stderr  # EXTRAS brings wheels; nothing else installs them
        assert done.stderr.rstrip().endswith("can tell.")
        assert "set -eu" not in done.stderr


def test_it_mixes_with_no_other_files(tmp_path):
    (tmp_path / "other.whl").touch()
    done = run(str(tmp_path))
    assert (done.returncode, [path.name for path in tmp_path.iterdir()]) == (2, ["other.whl"])


def test_every_shell_script_is_read_by_a_plain_shell():
    for script in sorted(SCRIPT.parent.rglob("*.sh")):
        assert script.read_text().startswith("#!/bin/sh\n"), script
        subprocess.run(["sh", "-n", script], check=True)
        assert script.stat().st_mode & 0o111, script
