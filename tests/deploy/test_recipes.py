"""The commands of deploy/ that make folders for containers and services, with the rights that root has."""

import re
import shlex
import socket
import subprocess
from pathlib import Path

import pytest

from server.federation import FederationFolder
from server.superlink import SuperLink
from tests import toy
from tests.server.invitations import VALID, federation, kit, records
from tests.users import acting_as, as_root, open_folder, with_capabilities

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
README = (DEPLOY / "README.md").read_text()
UNIT = (DEPLOY / "systemd" / "fedcgan-coordinator.service").read_text()
VAULT, COURIER, COORDINATOR = "10001:10001", "10002:10002", "10001:10001"


def recipe(name: str, real: dict[str, object]) -> list[str]:
    """The command that ``$NAME`` runs in a container, with what the container lacks, as it runs here.

    real: what stands here for each word of a container's
    """
    (engine,) = re.findall(rf'^{name}="(docker run .*)"$', README, re.MULTILINE)
    (rest,) = re.findall(rf"^\${name} ((?:.*\\\n)*.*)", README, re.MULTILINE)
    words = shlex.split(rest.replace("\\\n", " "))
    image = next(place for place, word in enumerate(words) if re.fullmatch(r"fedcgan-\w+:[0-9.]+", word))
    assert "--cap-drop ALL" in engine
    assert "--network none" in engine
    capabilities = re.findall(r"--cap-add (\w+)", engine)
    return with_capabilities(capabilities, [str(real.get(word, word)) for word in words[image + 1 :]])


def done(words: list[str]) -> None:
    finished = subprocess.run(words, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


@pytest.fixture
def parent():
    with open_folder() as folder:
        yield folder


@as_root
def test_a_site_made_for_containers_works(parent, tmp_path):
    invited = kit(federation(tmp_path / "federation"), "a", tmp_path)
    promise = iter(("3", "1e-5"))
    words = recipe("join", {"/a.kit.zip": invited, "/sites": parent, "/records": records(tmp_path)})
    done([next(promise) if word == "..." else word for word in words])
    path = str(parent / "a.courier" / "vault.sock")
    with socket.socket(socket.AF_UNIX) as vault, socket.socket(socket.AF_UNIX) as courier:
        with acting_as(VAULT):
            (parent / "a" / "identity.key").read_bytes()
            vault.bind(path)
            Path(path).chmod(0o660)
            vault.listen()
        with acting_as(COURIER):
            (parent / "a.courier" / "flower" / "node.key").read_bytes()
            courier.connect(path)
            with pytest.raises(PermissionError):
                (parent / "a" / "identity.key").read_bytes()


def for_a_container(folder: Path, schema: Path) -> list[str]:
    return recipe("init", {"/parent/federation": folder, "/heart.toml": schema})


def for_a_service(folder: Path, schema: Path) -> list[str]:
    """The unit's head says how, and who gives the command: no line of it may begin with runuser."""
    (words,) = re.findall(r"^#   fedcgan (federation init /\S+) \.\.\. +as root", UNIT, re.MULTILINE)
    given = ["--name", "heart", "--address", "fed.example.org:18443", "--schema", str(schema)]
    real = words.replace("/var/lib/fedcgan/federation", str(folder)).split()
    return with_capabilities(["dac_override"], [*real, *given])


@as_root
@pytest.mark.parametrize("commands", [for_a_container, for_a_service])
def test_a_federation_made_by_root_is_its_coordinators(parent, tmp_path, commands):
    """Its parent is root's, who alone can make a folder there."""
    schema, folder = tmp_path / "heart.toml", parent / "federation"
    schema.write_text(toy.SCHEMA.to_toml())
    done(commands(folder, schema))
    assert re.search(r"^(#   )?chown -R \S+:\S+ \S+/federation$", README, re.MULTILINE)
    assert re.search(r"^#   chown -R fedcgan:fedcgan /var/lib/fedcgan/federation$", UNIT, re.MULTILINE)
    done(["chown", "-R", COORDINATOR, str(folder)])
    with acting_as(COORDINATOR):
        made = FederationFolder.open(folder)
        assert made.settings.edge == ("external" if commands is for_a_container else "nginx")
        made.invite("a", VALID)
        made.renew_certificate()
        assert made.superexec_secret.read_bytes()
        SuperLink(made).prepare()
        with pytest.raises(PermissionError):
            FederationFolder.init(parent / "other", made.settings, toy.SCHEMA)  # as the coordinator's user
