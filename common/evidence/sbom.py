"""What a release was made with: every installed distribution that this program or one of its modules needs.

A software bill of materials in CycloneDX 1.6, as JSON, of the machine that made the release. Hashes of
packages are not in it: an installation does not keep those of the archives it came from.
"""

from __future__ import annotations

import re
import sys
import uuid
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

_PROGRAM = "fedcgan"
_LONGEST = 128  # characters of a licence's name: some packages put the whole text there


def sbom(version: str, made: str, seed: str) -> dict[str, Any]:
    """The document as JSON-ready content.

    version: of fedcgan; made: day, ISO; seed: of its serial number, the plan's hash
    """
    found = _closure(_imported() | _declared())
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, f"{seed} {made}").urn,
        "version": 1,
        "metadata": {
            "timestamp": f"{made}T00:00:00Z",
            "component": {
                "type": "application",
                "bom-ref": _PROGRAM,
                "name": _PROGRAM,
                "version": version,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": [_component(name, package) for name, package in sorted(found.items())],
        "dependencies": [
            {"ref": _PROGRAM, "dependsOn": [_reference(name, found[name]) for name in sorted(found)]},
            *(
                {
                    "ref": _reference(name, package),
                    "dependsOn": [_reference(other, found[other]) for other in _required(package) & {*found}],
                }
                for name, package in sorted(found.items())
            ),
        ],
    }


def _imported() -> set[str]:
    """Names of the distributions that loaded modules come from."""
    tops = {module.partition(".")[0] for module in sys.modules}
    return {_name(d) for top, names in packages_distributions().items() if top in tops for d in names}


def _declared() -> set[str]:
    """What this program itself requires, where it is installed and not only unpacked."""
    try:
        return _required(distribution(_PROGRAM))
    except PackageNotFoundError:
        return set()


def _closure(names: Iterable[str]) -> dict[str, Distribution]:
    """These distributions and all that they require, as far as they are installed; not ourselves."""
    found: dict[str, Distribution] = {}
    waiting = {*names} - {_PROGRAM}
    while waiting:
        name = waiting.pop()
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        waiting |= _required(found[name]) - found.keys() - {_PROGRAM}
    return found


def _required(package: Distribution) -> set[str]:
    """What it requires on this machine, without extras."""
    names = set()
    for line in package.requires or ():
        try:
            wanted = Requirement(line)
        except InvalidRequirement:
            continue
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            names.add(_name(wanted.name))
    return names


def _name(raw: str) -> str:
    """As PyPI compares names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", raw).lower()


def _reference(name: str, package: Distribution) -> str:
    return f"pkg:pypi/{name}@{package.version.replace('+', '%2B')}"


def _component(name: str, package: Distribution) -> dict[str, Any]:
    reference = _reference(name, package)
    component = {"type": "library", "bom-ref": reference, "name": name, "version": package.version}
    licences = _licences(package)
    return {**component, "purl": reference, **({"licenses": licences} if licences else {})}


def _licences(package: Distribution) -> list[dict[str, Any]]:
    metadata = package.metadata
    if "License-Expression" in metadata:
        return [{"expression": metadata["License-Expression"]}]
    said = [
        line.rpartition(" :: ")[2]
        for line in metadata.get_all("Classifier") or ()
        if line.startswith("License ::")
    ]
    name = metadata["License"].strip() if "License" in metadata else ""
    if not said and name and len(name) <= _LONGEST and "\n" not in name:
        said = [name]
    return [{"license": {"name": one}} for one in said]
