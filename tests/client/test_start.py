"""What root starts at a site, and that nothing of the courier's folder is read with its rights."""

import os
import shutil
import subprocess
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import pytest

from client.door import SOCKET
from client.membership import join
from client.ownership import Owner
from client.start import _supervised
from common.bench.loopback import SCHEMA, made_up
from common.errors import ConfigError
from common.launch import command
from server.federation import FederationFolder
from server.federation_settings import Settings

STRANGER = 65534
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start programs of two users")


@pytest.fixture
def joined():
    folder = Path(tempfile.mkdtemp(prefix="start-"))
    folder.chmod(0o755)
    federation = FederationFolder.init(
        folder / "fed", Settings.make("toy", "localhost:18555", "nginx", 18556), SCHEMA
    )
    federation.invite("site", timedelta(days=1)).write(folder / "site.kit.zip")
    records = folder / "records.csv"
    made_up(1).to_csv(records)
    records.chmod(0o600)
    settings = {"epsilon_cap": 1.0, "delta": 1e-5, "courier_user": f"{STRANGER}:{STRANGER}"}
    yield join(folder / "site.kit.zip", folder, records=records, **settings)
    shutil.rmtree(folder)


def programs(joined):
    return {program.name: program for program in _supervised(joined.folder, False, None).programs}


def test_a_link_in_the_couriers_folder_shows_nothing_of_the_vaults(joined):
    """Left by a hostile program for the next start: root would put the records into a command line."""
    before = programs(joined)["courier"]
    for name, secret in (("address", "records.csv"), ("ca.crt", "site/identity.key")):
        link = joined.courier / "flower" / name
        link.unlink()
        link.symlink_to(joined.folder.parent / secret)
        os.lchown(link, STRANGER, STRANGER)
    after = programs(joined)["courier"]
    assert after == before
    assert "localhost:18555" in after.command
    assert (after.user, after.group) == (STRANGER, STRANGER)


def test_a_courier_never_becomes_root(joined):
    for path in (joined.folder, joined.courier):
        os.chown(path, 1234, 1234)
    assert programs(joined)["courier"].user == STRANGER  # negative control
    os.chown(joined.courier / "flower", 0, 0)  # as a restored backup
    with pytest.raises(ConfigError, match="not as root"):
        programs(joined)


def test_records_that_the_courier_can_read_stop_the_start(joined):
    records = joined.folder.parent / "records.csv"
    assert "vault" in programs(joined)  # negative control
    records.chmod(0o644)
    with pytest.raises(ConfigError, match="can read the records"):
        programs(joined)
    records.chmod(0o640)
    os.chown(records, 0, STRANGER)  # not the world's, the courier's group's
    with pytest.raises(ConfigError, match="can read the records"):
        programs(joined)
    assert Owner(0, 0).reaches([records]) == records


def test_files_of_records_that_the_courier_can_read_stop_the_start(joined):
    """An index closed to it, files beside it that are not; a folder that can be entered, but not listed."""
    index = joined.folder.parent / "records.csv"
    scans = index.parent / "scans"
    scans.mkdir()
    (scans / "a.hea").touch(0o600)
    (scans / "a.dat").touch(0o644)  # what the index does not name is read with what it names
    index.write_text("label,path\nno,scans/a\n")
    with pytest.raises(ConfigError, match=r"can read the records, .*scans/a\.dat"):
        programs(joined)
    scans.chmod(0o700)
    assert "vault" in programs(joined)  # negative control
    index.unlink()
    index.symlink_to("scans")
    assert "vault" in programs(joined)
    scans.chmod(0o711)
    with pytest.raises(ConfigError, match=r"can read the records, .*scans$"):
        programs(joined)


def test_a_link_in_a_closed_folder_closes_nothing(joined):
    records = joined.folder.parent / "records.csv"
    closed = records.parent / "closed"
    closed.mkdir(mode=0o700)
    (closed / "records.csv").symlink_to(records)
    policy = joined.folder / "policy.toml"
    policy.write_text(policy.read_text().replace(str(records), str(closed / "records.csv")))
    assert "vault" in programs(joined)  # negative control
    records.chmod(0o644)
    with pytest.raises(ConfigError, match="can read the records"):
        programs(joined)


def test_a_vault_by_itself_wants_a_courier_of_another_user_too(joined):
    def vault(*words):
        return subprocess.Popen(
            [*command(), "site", "vault", *words, str(joined.folder)], stderr=subprocess.PIPE, text=True
        )

    for path in (joined.courier, joined.courier / "flower"):
        os.chown(path, 0, 0)
    refused = vault()
    assert "same user" in refused.communicate(timeout=60)[1]
    assert refused.returncode == ConfigError.exit_code
    assert not (joined.courier / SOCKET).exists()
    with vault("--same-user") as allowed:  # negative control
        try:
            while not (joined.courier / SOCKET).exists():
                assert allowed.poll() is None
                time.sleep(0.05)
        finally:
            allowed.terminate()
