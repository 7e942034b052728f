"""A small federation whose honest messages and files are what the fuzzers start from."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from client.vault import Vault
from common.array_generator import ReleasedArrays
from common.arrays import Arrays
from common.contributions import array_features, counts, encoding, family_of, histograms, pairs
from common.crypto.identity import AgreementKey
from common.crypto.ring import N
from common.crypto.tag import GroupKey
from common.earlier import FACT, fact, sum_noise
from common.generator import ReleasedGenerator
from common.modalities.array_features import ArrayFeatures
from common.modalities.array_files import write_records
from common.modalities.gram import GramFeatures
from common.modalities.grouping import Grouping
from common.modalities.layout import Layout
from common.models.tabular import Generator
from common.plan import COUNT_STEP, MEASURE_STEP, PROOF_STEP, PROPOSE_STEP, Plan
from common.planning import make_plan, stand_in
from common.privacy.ledger import Cap
from common.protocol import frames
from common.protocol.messages import ATTESTED, Contribution, KeyConfirmed, Propose, Refused, Standing
from common.rehearsal import synthetic_rows
from common.release_files import save_sums
from common.schema import ArraySchema
from common.simulation.prepare import Run
from common.states import ArrayRoundState, EvaluateState, MeasureState, RoundState, StepState
from server.adversary import Adversary
from server.checkpoint import Checkpoint
from server.continued import Sums
from server.enrolment import enrol, make_keys
from server.onnx_export import export_onnx
from tests import toy, toy_arrays
from tests.federation import LocalFederation
from tests.released import table

SITE = "site-north"


@dataclass(repr=False)
class Of:
    """A plan for images or signals, and honest bytes of a run of it."""

    folder: Path
    schema: ArraySchema
    plan: Plan
    records: Arrays

    @cached_property
    def features(self) -> ArrayFeatures:
        return array_features(self.schema, self.plan)

    @cached_property
    def step_state(self) -> bytes:
        _, discriminator = counts(self.schema, self.plan)
        return StepState(grouping=None, entered=np.zeros(discriminator, np.float32)).to_bytes()

    @cached_property
    def evaluate_state(self) -> bytes:
        return EvaluateState(
            rows=synthetic_rows(self.schema, 3), judge=StepState.from_bytes(self.step_state, self.schema)
        ).to_bytes()

    @cached_property
    def round_state(self) -> bytes:
        return ArrayRoundState(
            parameters=np.zeros(sum(counts(self.schema, self.plan)), np.float32),
            total=np.zeros(self.features.count),
            prior=np.full(self.schema.classes, 1 / self.schema.classes),
        ).to_bytes()

    @cached_property
    def sums(self) -> bytes:
        return Sums(np.zeros(self.features.count), None, None).to_bytes()

    @cached_property
    def release(self) -> Path:
        """A folder with a released generator that says what it rests on."""
        generator = family_of(self.schema, self.plan).generator
        facts = {
            "epsilon": 1.0,
            FACT: fact(self.plan, {}, hashlib.sha256(self.sums).hexdigest(), sum_noise(self.plan)),
        }
        prior = np.ones(self.schema.classes)
        ReleasedArrays(self.schema, self.plan.model, generator, prior, facts).save(self.folder)
        save_sums(self.folder, self.sums)
        return self.folder

    @cached_property
    def file(self) -> bytes:
        """Records as an npz."""
        write_records(self.records, self.schema, self.folder / "records.npz")
        return (self.folder / "records.npz").read_bytes()


def _arrays() -> dict[str, tuple[ArraySchema, Plan, Arrays]]:
    config = toy_arrays.config()
    training = config.training.model_copy(update={"schedule": "every-step", "rounds": 2})
    settings = config.model_copy(update={"training": training})
    found = {}
    for kind in ("image", "signal"):
        records, schema = toy_arrays.of(kind)
        plan = make_plan(settings, schema, stand_in(settings), kind)
        found[kind] = (schema, plan, records.take(np.arange(20)))
    return found


@dataclass(repr=False)
class World:
    """Honest frames by kind (of one site, or to it), and the site's folder as it was after enrolment."""

    folder: Path
    run: Run
    federation: LocalFederation
    frames: dict[str, bytes] = field(default_factory=dict)
    vaults: dict[str, Vault] = field(default_factory=dict)

    def body(self, kind: str) -> bytes:
        """The body of an honest message of this kind."""
        return frames.read(self.frames[kind], 1 << 30).body

    def vault(self, use: str) -> Vault:
        """A vault that has answered nothing yet but holds all keys; one for each use."""
        if use not in self.vaults:
            copy = self.folder / "uses" / use / SITE
            shutil.copytree(self.folder / "enrolled" / SITE, copy)
            self.vaults[use] = Vault(copy)
        vault = self.vaults[use]
        for answer in (vault.site.run_folder(self.run.plan.hash) / "answers").glob("*"):
            answer.unlink()
        return vault

    def scratch(self, name: str) -> Path:
        """A folder of its own."""
        path = self.folder / "scratch" / name
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path

    @cached_property
    def layout(self) -> Layout:
        return Layout.of(self.run.schema)

    @cached_property
    def agreement(self) -> AgreementKey:
        return AgreementKey()

    @cached_property
    def peer(self) -> AgreementKey:
        return AgreementKey()

    @cached_property
    def group(self) -> GroupKey:
        return GroupKey(bytes(32))

    @cached_property
    def zeros(self) -> np.ndarray:
        """c1 of one ciphertext."""
        return np.zeros((1, 2, N), np.uint64)

    @cached_property
    def key(self) -> bytes:
        """A joint key."""
        vault = self.vault("key")
        return (vault.site.run_folder(self.run.plan.hash) / "joint.key").read_bytes()

    @cached_property
    def features(self) -> GramFeatures:
        return pairs(self.run.schema, self.run.plan)

    @cached_property
    def states(self) -> dict[str, bytes]:
        """What is sent with a request: of the measure step, of a step, of a round."""
        grouping = Grouping.of_itself(self.run.schema)
        generator, discriminator = counts(self.run.schema, self.run.plan)
        classes, width = self.features.classes, len(self.features.owner)
        combinations = int(np.prod(self.layout.conditions))
        judge = StepState(grouping=grouping, entered=np.zeros(discriminator, np.float32))
        made = (
            MeasureState(grouping=grouping),
            EvaluateState(rows=synthetic_rows(self.run.schema, 3), judge=judge),
            judge,
            RoundState(
                grouping=grouping,
                parameters=np.zeros(generator + discriminator, np.float32),
                singles=np.zeros((classes, width)),
                pairs=np.zeros((classes, width, width)),
                single_precision=np.ones((classes, width)),
                noise=0.1,
                prior=np.full(combinations, 1 / combinations),
            ),
        )
        return {type(state).__name__: state.to_bytes() for state in made}

    @cached_property
    def arrays(self) -> dict[str, Of]:
        """Images and signals: what goes to and fro in runs over them."""
        return {kind: Of(self.scratch(f"of-{kind}"), *made) for kind, made in _arrays().items()}

    @cached_property
    def sums(self) -> bytes:
        """What a table's release says about its sums."""
        grouping = Grouping.of_itself(self.run.schema)
        counts = histograms(self.run.schema).count
        return Sums(np.zeros(self.features.count), np.zeros(counts), grouping).to_bytes()

    @cached_property
    def ledger(self) -> bytes:
        """A ledger of two charges."""
        site = self.vault("ledger").site
        for step in (MEASURE_STEP, "train-0001"):
            site.ledger.charge(
                self.run.plan.measure.mechanism,
                plan=self.run.plan.hash,
                step=step,
                cap=Cap(epsilon=1e9, delta=1e-5),
                unit=self.run.plan.privacy.unit,
                sensitivity=1.0,
            )
            site.ledger.answered(b"answer", plan=self.run.plan.hash, step=step)
        return site.ledger.path.read_bytes()

    @cached_property
    def ledger_head(self) -> bytes:
        """How far it goes."""
        assert self.ledger
        return self.vault("ledger").site.ledger.path.with_suffix(".head").read_bytes()

    @cached_property
    def release(self) -> Path:
        """A folder with a released generator."""
        model, torch_seed = self.run.plan.model, torch.random.get_rng_state()
        generator = Generator(self.layout, model.latents, model.latent, model.generator_hidden)
        torch.random.set_rng_state(torch_seed)
        prior = np.full(int(np.prod(self.layout.conditions)), 1.0)
        folder = self.scratch("honest-release")
        grouping = Grouping.of_itself(self.run.schema)
        ReleasedGenerator(self.run.schema, model, generator, prior, grouping, {"epsilon": 1.0}).save(folder)
        return folder

    @cached_property
    def onnx(self) -> bytes:
        """A generator as ONNX."""
        path = self.scratch("onnx") / "generator.onnx"
        export_onnx(table(self.run.schema), path)
        return path.read_bytes()

    @cached_property
    def checkpoint(self) -> bytes:
        """A checkpoint with everything in it but a pending sum."""
        state = Checkpoint(path=self.scratch("honest") / "checkpoint.safetensors", plan=self.run.plan.hash)
        state.counts, state.moments = np.zeros(4), np.zeros(4)
        state.parameters, state.average = np.zeros(4, np.float32), np.zeros(2, np.float32)
        state.adversary = Adversary.start(state.parameters, state.average)
        state.save()
        return state.path.read_bytes()


def build(folder: Path) -> World:
    """Run enrolment, a ceremony and two sums among four sites, and keep what was said. Takes seconds."""
    run = toy.run_folder(folder / "run")
    federation = LocalFederation(run)
    world = World(folder, run, federation)

    def listen(site: str, raw: bytes) -> bytes:
        if site == SITE:
            world.frames[frames.read(raw, 1 << 30).header.kind] = raw
        return raw

    federation.before = federation.after = listen
    asking, secure_sum = federation.asking(), federation.secure_sum()
    proposal = Propose(plan=run.plan.to_json(), table=run.schema.model_dump_json().encode())
    asking(PROPOSE_STEP, {SITE: proposal}, Standing.kind)
    secure_sum.attested = make_keys(asking, secure_sum, enrol(asking, run.schema))
    shutil.copytree(federation.site_folder(SITE), folder / "enrolled" / SITE)
    for step, state in ((COUNT_STEP, b""), (MEASURE_STEP, world.states["MeasureState"])):
        secure_sum(step, state, encoding(step, run.schema, run.plan).packing)
    site = federation.vaults[SITE].site
    refused = Refused(code="protocol", message="no", hint="").to_bytes()
    for kind, step, body in (
        (Refused.kind, MEASURE_STEP, refused),
        (ATTESTED, PROOF_STEP, bytes(32)),
    ):
        world.frames[kind] = frames.sign(site.identity, kind, run.plan.hash, step, SITE, body).to_bytes()
    for name, step, message in (
        ("small", MEASURE_STEP, Contribution(ciphertext=b"c", tag=b"t")),
        ("small-proof", PROOF_STEP, KeyConfirmed(attested=b"a", ciphertext=b"c", tag=b"t")),
    ):
        frame = frames.sign(site.identity, message.kind, run.plan.hash, step, SITE, message.to_bytes())
        world.frames[name] = frame.to_bytes()
    return world
