"""The commands of deploy/README.md that make folders for containers, with the rights that they give root."""

import re
import shlex
import socket
import subprocess
from pathlib import Path

import pytest

from tests.server.invitations import federation, kit, records
from tests.users import acting_as, as_root, open_folder, with_capabilities

README = (Path(__file__).resolve().parents[2] / "deploy" / "README.md").read_text()
VAULT, COURIER = "10001:10001", "10002:10002"


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
