"""What a verification has shown and what it has not, in words for people who must decide."""

from __future__ import annotations

from .verification import Verified


def attention(verified: Verified) -> list[str]:
    """What must be read before anything else."""
    manifest, said = verified.manifest, []
    if manifest.override is not None:
        said.append(
            f"The privacy gate did not pass ({manifest.gate}). It was released all the same, for this "
            f"written reason: {manifest.override}"
        )
    if manifest.simulated:
        said.append(
            "This was a simulation: one machine held all keys and records. The signatures are by that "
            "machine, not by institutions."
        )
    if not verified.pinned:
        said.append(
            "It was not checked who the coordinator is. Compare the fingerprint with one that you got from "
            "the coordinator in another way, or give it with --signer."
        )
    if len(verified.signed) < manifest.signatures:
        said.append(
            f"Not complete: {len(verified.signed)} of {manifest.signatures} counter-signatures are there."
        )
    return said


def proven(verified: Verified) -> list[str]:
    """What follows from the files alone."""
    manifest, claims = verified.manifest, verified.claims
    signers = ", ".join(verified.signed) or "nobody"
    said = [
        f"Each of the {len(manifest.files)} files is the one that was signed; none is missing, none was "
        "added or renamed.",
        "The manifest is signed with the key that the plan names as the coordinator's"
        + (", which is the one you expected." if verified.pinned else "."),
        f"Counter-signed by {len(verified.signed)} of {len(manifest.sites)} sites of the plan ({signers}); "
        f"the plan asks for {manifest.signatures}. Each signed this very manifest, and so the plan, the "
        "verdict of the gate and every file.",
        f"Plan {manifest.plan[:12]} and schema {manifest.schema_hash[:12]} are those that the manifest "
        "names; report, gate, generator and roster agree with them.",
        f"The mechanisms that the plan describes, with the attempts that are listed, come to ε "
        f"{claims.epsilon:.4f} at δ {manifest.delta:g} ({manifest.unit}), computed here again by privacy "
        f"loss distributions; the bundle says {manifest.epsilon:g}.",
        f"The verdict of the privacy gate ({manifest.gate}) follows from the criteria in gate.json by the "
        "thresholds of the plan.",
        "The weights are safetensors: numbers, from which no program can be started when they are read.",
    ]
    if verified.onnx:
        said.append("generator.onnx says the same plan, schema, ε, δ and unit; so do files drawn from it.")
    if verified.evidence:
        said.append("report.evidence.json, the page's numbers, has this budget and this verdict.")
    return said


def not_proven(verified: Verified) -> list[str]:
    """What no file can show."""
    said = [
        "That noise was really added at the sites, records really were clipped, and attempts are all listed: "
        "files cannot show it. The sites' signatures, and their ledgers, stand for it.",
        "That a key belongs to an institution: known only by fingerprints that people have compared.",
        "That the counter-signers are sites of their own: a coordinator who made up the whole roster could "
        "sign for all. Ask one of them.",
        "That the figures of report and gate were measured as described: that is what the coordinator and "
        "the sites say.",
        "That the papers (report.html, and those that end in .md) say what these files say: they are for "
        "people, and were not compared.",
        "That the generator is the one that the run made, and that the synthetic records come from it.",
        "That nobody can learn anything about a person: ε and δ bound it, they do not end it. "
        "DP_STATEMENT.md says what they do not cover.",
        "That no further signature was taken out: only that there are as many as the plan asks for.",
    ]
    if verified.claims.plan.continues is not None:
        said.append(
            "What the earlier runs cost on which this one goes on: that is what the coordinator says in the "
            "plan."
        )
    return said
