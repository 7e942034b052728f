"""What every file of synthetic records says of itself: that it is synthetic, and from which generator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .files import write_whole

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's word for what a model made: every file of synthetic records bears it."""

SIDECAR = ".provenance.json"
"""Added to the name of a CSV, which has no place for a mark."""

FACTS = ("name", "epsilon", "delta", "unit", "plan", "schema_hash")
"""What a generator says of its origin, as far as a mark repeats it."""

PNG_TEXTS = {"Software": "fedcgan", "Synthetic": "true"}
XMP_KEY = "XML:com.adobe.xmp"
XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
    f"<Iptc4xmpExt:DigitalSourceType>{SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>"
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
    '<?xpacket end="w"?>'
)


def marks(facts: Mapping[str, Any]) -> dict[str, str]:
    """The mark, and those of the facts that it repeats: all text."""
    known = {key: facts[key] for key in FACTS if key in facts}
    shown = {key: f"{value:g}" if isinstance(value, float) else str(value) for key, value in known.items()}
    return {**shown, "synthetic": "true", "digital-source-type": SOURCE_TYPE, "software": "fedcgan"}


def png_facts(facts: Mapping[str, Any]) -> dict[str, str]:
    """The facts that a picture bears."""
    found = marks(facts)
    return {key.capitalize(): found[key] for key in ("plan", "epsilon", "delta", "unit")}


def sidecar_of(path: Path) -> Path:
    """Where the mark of a CSV lies."""
    return path.with_name(path.name + SIDECAR)


def write_sidecar(path: Path, facts: Mapping[str, Any]) -> None:
    """Write the mark of the CSV at ``path`` beside it, whole or not at all. Raises FileError."""
    text = json.dumps(marks(facts), indent=2)
    write_whole(sidecar_of(path), lambda temporary: temporary.write_text(text + "\n", "utf-8"))
