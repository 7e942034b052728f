"""The systemd units: systemd itself reads them, and judges how much each service could do."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
NAMES = {
    "fedcgan-coordinator.service": "fedcgan-coordinator.service",
    "fedcgan-vault@.service": "fedcgan-vault@north.service",
    "fedcgan-courier@.service": "fedcgan-courier@north.service",
}
EXPOSURE = {
    "fedcgan-coordinator.service": 1.6,
    "fedcgan-vault@.service": 0.8,
    "fedcgan-courier@.service": 1.6,
}
"""Of 10, by `systemd-analyze security`; a service without hardening has 9.6."""
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze: apt-get install systemd"
)


def settings(name: str) -> dict[str, list[str]]:
    """Every setting of a unit with its values; an environment's assignments are split."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text().splitlines():
        if match := re.match(r"([A-Za-z]+)=(.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


@pytest.fixture
def installed(tmp_path):
    """The units under the names they run by; the program they start is one that is here."""

    def install(change=lambda text: text) -> Path:
        for source, target in NAMES.items():
            text = (
                (UNITS / source).read_text().replace("/opt/fedcgan/bin/fedcgan ", f"{shutil.which('true')} ")
            )
            for name in {source, target}:
                (tmp_path / name).write_text(change(text))
        return tmp_path

    return install


def analyze(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words], cwd=folder, capture_output=True, text=True, check=False
    )


def exposure(folder: Path, unit: str) -> float:
    done = analyze(folder, "security", "--offline=true", f"./{unit}")
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd cannot judge a unit that is not installed (--offline, since 250)")
    return float(re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout + done.stderr)[1])


@needs_systemd
def test_systemd_reads_every_line(installed):
    folder = installed()
    done = analyze(folder, "verify", "--recursive-errors=no", *(f"./{name}" for name in NAMES.values()))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_a_misspelt_line_is_noticed(installed):
    folder = installed(lambda text: text.replace("PrivateTmp=yes", "PrivateTemp=yes"))
    done = analyze(folder, "verify", "--recursive-errors=no", *(f"./{name}" for name in NAMES.values()))
    assert "PrivateTemp" in done.stderr


def gpu() -> str:
    """The lines by which the vault gets a GPU, as its head says."""
    head = (UNITS / "fedcgan-vault@.service").read_text().partition("[Unit]")[0]
    (lines,) = re.findall(r"#   systemctl edit fedcgan-vault@NAME\n((?:#   .*\n)+)", head)
    return lines.replace("#   ", "")


@needs_systemd
def test_systemd_reads_the_lines_for_a_gpu(installed):
    folder, vault = installed(), NAMES["fedcgan-vault@.service"]
    lines = gpu()
    assert lines == "[Service]\nPrivateDevices=no\nDeviceAllow=char-nvidia* rw\n"
    (folder / f"{vault}.d").mkdir()
    for text, read in ((lines, True), (lines.replace("char-nvidia*", "nvidia0"), False)):
        (folder / f"{vault}.d" / "gpu.conf").write_text(text)
        done = analyze(folder, "verify", "--recursive-errors=no", f"./{vault}")
        assert (done.stderr == "") == read, done.stderr


@needs_systemd
@pytest.mark.parametrize("name", NAMES)
def test_systemd_finds_them_closed(installed, name):
    assert exposure(installed(), NAMES[name]) <= EXPOSURE[name]


@needs_systemd
@pytest.mark.parametrize(
    "line", ["PrivateNetwork=yes", "NoNewPrivileges=yes", "ProtectSystem=strict", "User=fedcgan-vault"]
)
def test_systemd_finds_an_opened_one_worse(installed, line):
    vault = "fedcgan-vault@.service"
    closed = exposure(installed(), NAMES[vault])
    opened = exposure(installed(lambda text: text.replace(f"{line}\n", "")), NAMES[vault])
    assert opened > closed


def test_the_vault_has_no_network_and_the_courier_no_records():
    vault, courier = settings("fedcgan-vault@.service"), settings("fedcgan-courier@.service")
    assert vault["PrivateNetwork"] == ["yes"]
    assert vault["RestrictAddressFamilies"] == ["AF_UNIX"]
    assert vault["IPAddressDeny"] == ["any"]
    assert courier["InaccessiblePaths"] == ["-/var/lib/fedcgan/%i"]
    assert courier["ReadWritePaths"] == ["/var/lib/fedcgan/%i.courier"]
    assert vault["User"] != courier["User"]
    assert vault["Group"] != courier["Group"]
    assert vault["ExecStart"] == ["/opt/fedcgan/bin/fedcgan site vault /var/lib/fedcgan/%i"]
    assert courier["ExecStart"] == ["/opt/fedcgan/bin/fedcgan site courier /var/lib/fedcgan/%i.courier"]


@pytest.mark.parametrize("name", NAMES)
def test_they_come_back_closed_and_silent(name):
    found = settings(name)
    for key, value in {
        "Restart": "always",
        "RestartSec": "5",
        "UMask": "0077",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "CapabilityBoundingSet": "",
        "MemoryDenyWriteExecute": "no",
    }.items():
        assert found[key] == [value], key
    assert "root" not in found["User"]
    assert found["SystemCallFilter"][0] == "@system-service"
    variables = set(" ".join(found["Environment"]).split())
    assert {
        "FLWR_TELEMETRY_ENABLED=0",
        "FLWR_DISABLE_UPDATE_CHECK=1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION=1",
    } <= variables
