"""The Helm charts, rendered by Helm itself and held against Kubernetes' own schemas and our promises."""

import copy
import importlib.util
import json
import os
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
import yaml

CHARTS = Path(__file__).resolve().parents[2] / "deploy" / "helm"
VALUES = {
    "fedcgan-site": {
        "site": "north",
        "secrets": {"site": "north-site", "courier": "north-courier"},
        "records": {"claim": "north-records"},
        "edge": {"host": "fed.example.org", "address": "192.0.2.7", "port": 18443},
    },
    "fedcgan-coordinator": {
        "federation": "hearts",
        "secrets": {"federation": "hearts-folder", "edge": "hearts-edge"},
        "edge": {"sites": ["198.51.100.0/24", "203.0.113.9/32"]},
    },
}
KUBERNETES = "1.34"
needs_helm = pytest.mark.skipif(
    importlib.util.find_spec("helm_python") is None,
    reason="Helm is not installed: pip install 'fedcgan[charts]'",
)


def render(chart: str, **changed) -> list[dict]:
    """What Helm makes of the chart: every object, in order of its files."""
    import helm_python

    values = copy.deepcopy(VALUES[chart])
    for key, value in changed.items():
        values[key] = {**values[key], **value} if isinstance(value, dict) and key in values else value
    with helm_python.Chart.load(CHARTS / chart) as loaded:
        loaded.validate_schema(loaded.merge_values(values))
        manifests = loaded.render(values, name="here", namespace="fedcgan")
    return [one for name in sorted(manifests) for one in yaml.safe_load_all(manifests[name]) if one]


def sets(objects: list[dict]) -> dict[str, dict]:
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == "StatefulSet"}


def containers(objects: list[dict]) -> list[tuple[dict, dict]]:
    """(pod's spec, container), init containers too."""
    found = []
    for one in sets(objects).values():
        pod = one["spec"]["template"]["spec"]
        found += [(pod, each) for each in [*pod["initContainers"], *pod["containers"]]]
    return found


def faults(objects: list[dict]) -> set[str]:
    """What breaks Kubernetes' restricted Pod Security Standard, or is looser than we promise."""
    found = set()
    for pod, container in containers(objects):
        of_pod, own = pod["securityContext"], container.get("securityContext", {})
        user = own.get("runAsUser", of_pod.get("runAsUser"))
        checks = {
            "root": own.get("runAsNonRoot") is True and isinstance(user, int) and user >= 10000,
            "writable": own.get("readOnlyRootFilesystem") is True,
            "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
            "escalation": own.get("allowPrivilegeEscalation") is False and own.get("privileged") is False,
            "seccomp": of_pod["seccompProfile"] == {"type": "RuntimeDefault"},
            "token": pod["automountServiceAccountToken"] is False,
            "host": not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & set(pod),
            "volumes": all(
                set(one) - {"name"} <= {"persistentVolumeClaim", "secret", "emptyDir"}
                for one in pod["volumes"]
            ),
            "memory": "memory" in container["resources"]["limits"],
            "image": ":" in container["image"] and not container["image"].endswith(":latest"),
        }
        found |= {name for name, good in checks.items() if not good}
    return found


def policy(objects: list[dict], component: str | None) -> dict:
    (found,) = [
        one["spec"]
        for one in objects
        if one["kind"] == "NetworkPolicy"
        and one["spec"]["podSelector"]["matchLabels"].get("app.kubernetes.io/component") == component
    ]
    return found


@needs_helm
@pytest.mark.parametrize("chart", VALUES)
def test_helm_finds_nothing_to_say(chart):
    import helm_python

    report = helm_python.lint(CHARTS / chart, VALUES[chart], strict=True)
    worse = [one for one in report["messages"] if one["severity"] > 1]
    assert (worse, report["errors"]) == ([], [])


@needs_helm
@pytest.mark.parametrize("chart", VALUES)
def test_what_helm_makes_is_what_kubernetes_knows(chart):
    validate = pytest.importorskip("kubernetes_validate")
    objects = render(chart)
    for one in objects:
        validate.validate(one, KUBERNETES, strict=True)
    sets(objects).popitem()[1]["spec"]["template"]["spec"]["containers"][0]["runAsRoot"] = True
    wrong = [one for one in objects if "runAsRoot" in str(one)]
    with pytest.raises(validate.ValidationError):  # an unknown field is noticed
        validate.validate(wrong[0], KUBERNETES, strict=True)


@needs_helm
@pytest.mark.parametrize("chart", VALUES)
def test_every_container_is_closed(chart):
    objects = render(chart)
    assert len(containers(objects)) >= 3
    assert faults(objects) == set()


@needs_helm
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda _, one: one["securityContext"].update(runAsUser=0), "root"),
        (lambda _, one: one["securityContext"].pop("runAsNonRoot"), "root"),
        (lambda _, one: one["securityContext"].update(readOnlyRootFilesystem=False), "writable"),
        (lambda _, one: one["securityContext"]["capabilities"].update(add=["NET_RAW"]), "capabilities"),
        (lambda _, one: one.pop("securityContext"), "escalation"),
        (lambda pod, _: pod["securityContext"]["seccompProfile"].update(type="Unconfined"), "seccomp"),
        (lambda pod, _: pod.update(automountServiceAccountToken=True), "token"),
        (lambda pod, _: pod.update(hostNetwork=True), "host"),
        (lambda pod, _: pod["volumes"].append({"name": "h", "hostPath": {"path": "/"}}), "volumes"),
        (lambda _, one: one["resources"].update(limits={}), "memory"),
        (lambda _, one: one.update(image="fedcgan-site:latest"), "image"),
    ],
)
def test_the_check_notices_each_opening(change, fault):
    objects = render("fedcgan-site")
    change(*containers(objects)[-1])
    assert fault in faults(objects)


@needs_helm
def test_the_vault_has_a_pod_and_no_network():
    objects = render("fedcgan-site")
    pods = {name: one["spec"]["template"] for name, one in sets(objects).items()}
    assert set(pods) == {"fedcgan-north-vault", "fedcgan-north-courier"}
    closed = policy(objects, "vault")
    assert set(closed) == {"podSelector", "policyTypes"}  # both directions named, none allowed
    assert closed["policyTypes"] == ["Ingress", "Egress"]
    vault = pods["fedcgan-north-vault"]
    assert closed["podSelector"]["matchLabels"].items() <= vault["metadata"]["labels"].items()
    assert not any("ports" in one for one in vault["spec"]["containers"])


@needs_helm
def test_the_courier_reaches_the_edge_only_and_the_socket_only():
    objects = render("fedcgan-site")
    courier = sets(objects)["fedcgan-north-courier"]["spec"]["template"]["spec"]
    vault = sets(objects)["fedcgan-north-vault"]["spec"]["template"]["spec"]
    assert policy(objects, "courier")["egress"] == [
        {"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}], "ports": [{"protocol": "TCP", "port": 18443}]}
    ]
    assert "ingress" not in policy(objects, "courier")
    assert courier["securityContext"]["runAsUser"] != vault["securityContext"]["runAsUser"]

    def claims(pod):
        return {
            one["persistentVolumeClaim"]["claimName"]
            for one in pod["volumes"]
            if "persistentVolumeClaim" in one
        }

    assert claims(courier) == {"fedcgan-north-courier"} < claims(vault)
    assert "north-records" in claims(vault)
    (records,) = [one for one in vault["containers"][0]["volumeMounts"] if one["name"] == "records"]
    assert records["readOnly"] is True
    (near,) = courier["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    labels = sets(objects)["fedcgan-north-vault"]["spec"]["template"]["metadata"]["labels"]
    assert near["labelSelector"]["matchLabels"].items() <= labels.items()


@needs_helm
def test_only_the_edge_is_reached_and_it_sees_no_folder():
    objects = render("fedcgan-coordinator")
    (one,) = sets(objects).values()
    pod = one["spec"]["template"]["spec"]
    coordinator, edge = pod["containers"]
    assert "ports" not in coordinator
    assert {mount["name"] for mount in edge["volumeMounts"]} == {"edge", "run"}
    assert "edge" not in {mount["name"] for mount in coordinator["volumeMounts"]}
    assert edge["securityContext"]["runAsUser"] != pod["securityContext"]["runAsUser"]
    rules = policy(objects, None)
    assert rules["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in rules
    assert rules["ingress"] == [
        {
            "from": [{"ipBlock": {"cidr": "198.51.100.0/24"}}, {"ipBlock": {"cidr": "203.0.113.9/32"}}],
            "ports": [{"protocol": "TCP", "port": 18443}],
        }
    ]
    (service,) = [one for one in objects if one["kind"] == "Service"]
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["edge"]


@needs_helm
@pytest.mark.parametrize(
    ("chart", "changed"),
    [
        ("fedcgan-site", {"site": ""}),
        ("fedcgan-site", {"site": "North; x"}),
        ("fedcgan-site", {"secrets": {"courier": ""}}),
        ("fedcgan-site", {"edge": {"address": "0.0.0.0/0"}}),
        ("fedcgan-site", {"image": {"name": "fedcgan-site:latest", "pullPolicy": "Always"}}),
        ("fedcgan-site", {"image": {"name": "fedcgan-site", "pullPolicy": "Always"}}),
        ("fedcgan-site", {"allowEgress": True}),
        ("fedcgan-coordinator", {"edge": {"sites": []}}),
        ("fedcgan-coordinator", {"federation": ""}),
        ("fedcgan-coordinator", {"linkPort": 80}),
    ],
    ids=str,
)
def test_values_that_are_missing_or_loose_are_refused(chart, changed):
    import helm_python

    with pytest.raises(helm_python.HelmError):
        render(chart, **changed)


@needs_helm
def test_an_image_may_be_given_by_its_digest():
    digest = f"registry.example.org:5000/fedcgan/site@sha256:{'0' * 64}"
    objects = render("fedcgan-site", image={"name": digest, "pullPolicy": "Always"})
    assert {container["image"] for _, container in containers(objects)} == {digest}


def preparation(objects: list[dict], pod: str) -> list[str]:
    (one,) = sets(objects)[pod]["spec"]["template"]["spec"]["initContainers"]
    return [*one["command"], *one["args"]]


def packed(parent: Path, name: str) -> None:
    """A Secret's folder.tar in ``parent``, made of a folder with a key, as deploy/README.md says."""
    (parent / name).mkdir(mode=0o700)
    (parent / name / "some.key").write_text("first")
    (parent / name / "some.key").chmod(0o600)
    if name == "flower":
        subprocess.run(["tar", "-C", parent / name, "-cf", parent / "folder.tar", "."], check=True)
    else:
        subprocess.run(["tar", "-C", parent, "-cf", parent / "folder.tar", name], check=True)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@needs_helm
@pytest.mark.skipif(os.geteuid() != 0, reason="plays two users: root only")
def test_two_pods_prepare_what_join_made_and_a_later_start_changes_nothing():
    objects = render("fedcgan-site")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        volumes = {"site": folder / "site-volume", "courier": folder / "courier-volume"}
        for volume in volumes.values():  # as Kubernetes leaves a volume with fsGroup 10002
            volume.mkdir()
            os.chown(volume, 0, 10002)
            volume.chmod(0o2775)
        for secret, content in (("vault-secret", "north"), ("courier-secret", "flower")):
            (folder / secret).mkdir()
            packed(folder / secret, content)
            (folder / secret / "folder.tar").chmod(0o644)

        def prepare(part: str, user: int) -> subprocess.Popen:
            words = [
                word.replace("/secret/", f"{folder}/{part}-secret/")
                .replace("/site-volume", str(volumes["site"]))
                .replace("/courier-volume", str(volumes["courier"]))
                for word in preparation(objects, f"fedcgan-north-{part}")
            ]
            return subprocess.Popen(words, user=user, group=user, extra_groups=[10002])

        for content in ("first", "what was written since"):
            both = [prepare("courier", 10002), prepare("vault", 10001)]  # either may be first
            try:  # each waits for the other: one that fails must not keep the test
                assert [one.wait(60) for one in both[::-1]] == [0, 0]
            finally:
                for one in both:
                    one.kill()
                    one.wait()
            site, courier = volumes["site"] / "north", volumes["courier"] / "north.courier"
            for path, owner, rights in (
                (site, 10001, 0o700),
                (site / "some.key", 10001, 0o600),
                (courier, 10001, 0o2750),
                (courier / "flower", 10002, 0o700),
                (courier / "flower" / "some.key", 10002, 0o600),
            ):
                assert (path.stat().st_uid, mode(path) & (0o7777 if path == courier else 0o777)) == (
                    owner,
                    rights,
                )
                if path.is_file():
                    assert path.read_text() == content
                    path.write_text("what was written since")
            assert courier.stat().st_gid == 10002
            with socket.socket(
                socket.AF_UNIX
            ) as listener:  # the vault's: any user's socket inherits the group
                listener.bind(str(courier / "vault.sock"))
            assert (courier / "vault.sock").stat().st_gid == 10002
            (courier / "vault.sock").unlink()


@needs_helm
def test_the_coordinators_first_start_unpacks_its_folder_and_a_later_one_nothing(tmp_path):
    objects = render("fedcgan-coordinator")
    packed(tmp_path, "federation")
    (volume := tmp_path / "data").mkdir()
    volume.chmod(0o2775)
    words = [
        word.replace("/secret/", f"{tmp_path}/").replace("/data", str(volume))
        for word in preparation(objects, "fedcgan-hearts")
    ]
    subprocess.run(words, check=True)
    key = volume / "federation" / "some.key"
    assert (key.read_text(), mode(key), mode(key.parent) & 0o777, mode(volume)) == (
        "first",
        0o600,
        0o700,
        0o2775,
    )
    key.write_text("what was written since")
    subprocess.run(words, check=True)
    assert key.read_text() == "what was written since"


@needs_helm
def test_vault_and_courier_see_the_folders_where_join_said_they_are():
    objects = render("fedcgan-site")
    for part, folders in {"vault": ["north", "north.courier"], "courier": ["north.courier"]}.items():
        (one,) = sets(objects)[f"fedcgan-north-{part}"]["spec"]["template"]["spec"]["containers"]
        mounts = {each["mountPath"]: each.get("subPath") for each in one["volumeMounts"]}
        assert {path: sub for path, sub in mounts.items() if path.startswith("/sites")} == {
            f"/sites/{folder}": folder for folder in folders
        }
        assert one["args"] == ["site", part, f"/sites/{folders[0]}"]


@pytest.mark.parametrize("chart", VALUES)
def test_the_schema_of_values_is_json_and_every_value_has_a_rule(chart):
    rules = json.loads((CHARTS / chart / "values.schema.json").read_text())
    values = yaml.safe_load((CHARTS / chart / "values.yaml").read_text())
    assert set(values) == set(rules["properties"]) - {"global"}
    assert rules["additionalProperties"] is False


@needs_helm
def test_the_readme_names_the_vaults_pod_as_kubernetes_does():
    sets = [one["metadata"]["name"] for one in render("fedcgan-site") if one["kind"] == "StatefulSet"]
    (vault,) = [name for name in sets if name.endswith("-vault")]
    assert f"kubectl exec {vault.replace('north', 'NAME')}-0 " in (CHARTS.parent / "README.md").read_text()
