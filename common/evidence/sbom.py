"""What a release was made with: every installed distribution that this program or one of its modules needs.

A software bill of materials in CycloneDX 1.6, as JSON, of the machine that made the release. Hashes of
packages are not in it: an installation does not keep those of the archives it came from.
"""

from __future__ import annotations

import re
import sys
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import (
    PackageMetadata,
    PackageNotFoundError,
    distribution,
    packages_distributions,
)
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

_PROGRAM = "fedcgan"
_LONGEST = 128  # characters of a licence's name: some packages put the whole text there


@dataclass(frozen=True, slots=True)
class _Package:
    """An installed distribution. required: names that it needs on this machine, without extras"""

    name: str
    version: str
    required: frozenset[str]
    licences: tuple[dict[str, Any], ...]

    @property
    def reference(self) -> str:
        """Its package URL."""
        return f"pkg:pypi/{self.name}@{self.version.replace('+', '%2B')}"


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
        "components": [_component(package) for package in found.values()],
        "dependencies": [
            {"ref": _PROGRAM, "dependsOn": [package.reference for package in found.values()]},
            *({"ref": package.reference, "dependsOn": _needs(package, found)} for package in found.values()),
        ],
    }


def _imported() -> set[str]:
    """Names of the distributions that loaded modules come from."""
    tops = {module.partition(".")[0] for module in sys.modules}
    return {_name(raw) for top, names in _distributions().items() if top in tops for raw in names}


_distributions = cache(packages_distributions)  # reads the list of files of every package


def _declared() -> frozenset[str]:
    """What this program itself requires, where it is installed and not only unpacked."""
    itself = _package(_PROGRAM)
    return frozenset() if itself is None else itself.required


def _closure(names: Iterable[str]) -> dict[str, _Package]:
    """These and all that they require, as far as they are installed, by name; not ourselves."""
    found: dict[str, _Package] = {}
    waiting = {*names} - {_PROGRAM}
    while waiting:
        package = _package(waiting.pop())
        if package is not None:
            found[package.name] = package
            waiting |= package.required - found.keys() - {_PROGRAM}
    return dict(sorted(found.items()))


@cache
def _package(name: str) -> _Package | None:
    """None if it is not installed."""
    try:
        metadata = distribution(name).metadata
    except PackageNotFoundError:
        return None
    required = set()
    for line in metadata.get_all("Requires-Dist") or ():
        try:
            wanted = Requirement(line)
        except InvalidRequirement:
            continue
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            required.add(_name(wanted.name))
    return _Package(name, metadata["Version"], frozenset(required), tuple(_licences(metadata)))


def _name(raw: str) -> str:
    """As PyPI compares names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", raw).lower()


def _needs(package: _Package, found: dict[str, _Package]) -> list[str]:
    return [found[name].reference for name in sorted(package.required & found.keys())]


def _component(package: _Package) -> dict[str, Any]:
    component = {
        "type": "library",
        "bom-ref": package.reference,
        "name": package.name,
        "version": package.version,
        "purl": package.reference,
    }
    return {**component, **({"licenses": [*package.licences]} if package.licences else {})}


def _licences(metadata: PackageMetadata) -> list[dict[str, Any]]:
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
