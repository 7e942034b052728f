"""What things cost, in counts that do not depend on the machine: so that cost cannot creep.

Timings are for ``fedcgan bench``. A number here that falls may be lowered; one that rises needs a reason.
"""

import subprocess
import sys
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from torch.utils.flop_counter import FlopCounterMode

from client.device import Device
from client.gradient import Clipping
from client.plan_costs import leaving
from common.crypto import bfv, ring
from common.crypto.packing import Packing
from common.crypto.threshold import CIPHERTEXT_SHAPE
from common.modalities.layout import Layout
from common.modalities.tabular import encode
from common.models.encoding import record_tensor
from common.models.family import Judged
from common.models.pair import Pair
from common.plan import COUNT_STEP, MEASURE_STEP, train_step
from common.protocol import frames
from common.protocol.messages import Contribute, Open
from tests import toy
from tests.crypto.test_secure_sum import parties
from tests.federation import LocalFederation

SUMS = [COUNT_STEP, MEASURE_STEP, train_step(1), train_step(2)]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A run of four sites, three of which open; every message by site, kind and step, with its bytes."""
    federation = LocalFederation(toy.run_folder(tmp_path_factory.mktemp("counted") / "run"))
    asked, answered = Counter(), {}

    def before(site, raw):
        header = frames.read(raw, len(raw)).header
        asked[site, header.kind, header.step] += 1
        return raw

    def after(site, raw):
        header = frames.read(raw, len(raw)).header
        answered.setdefault((header.kind, header.step), []).append(len(raw))
        return raw

    federation.before, federation.after = before, after
    federation.coordinator().run()
    return federation, asked, answered


def test_a_sum_is_one_message_to_a_site_and_one_more_to_each_that_opens(watched):
    federation, asked, _ = watched
    names, threshold = federation.plan.federation.names, federation.plan.federation.threshold
    for step in SUMS:
        assert [asked[site, Contribute.kind, step] for site in names] == [1] * len(names)
        assert sum(asked[site, Open.kind, step] for site in names) == threshold
        assert max(asked[site, Open.kind, step] for site in names) == 1


def test_a_run_is_four_messages_of_ceremony_and_nothing_but_sums_after_it(watched):
    federation, asked, _ = watched
    names, threshold = federation.plan.federation.names, federation.plan.federation.threshold
    of_sums = len(SUMS) * (len(names) + threshold)
    assert sum(asked.values()) == of_sums + 4 * len(names) + threshold  # the proof of the key is opened, too


def test_a_contribution_has_the_bytes_that_the_plan_says_and_they_are_those_of_its_ciphertexts(watched):
    federation, _, answered = watched
    planned = {one.step: one for one in leaving(federation.plan, federation.run.schema)}
    for step in SUMS:
        sizes = answered["contribution", step]
        plan = planned[step.partition("-")[0]]
        assert max(sizes) <= plan.bytes
        assert min(sizes) >= plan.ciphertexts * ring.byte_length(*CIPHERTEXT_SHAPE)


@pytest.mark.parametrize(("bits", "most"), [(14, 7.6), (18, 10.5)])
def test_a_value_takes_at_most_so_many_bytes_of_ciphertext(bits, most):
    packing = Packing(field_bits=bits, sites=5, count=421_696)
    size = packing.chunks * ring.byte_length(*CIPHERTEXT_SHAPE)
    assert size / packing.count <= most < 2.7 * 4


def test_packing_and_encrypting_hold_no_more_than_twice_what_they_make():
    packing = Packing(field_bits=14, sites=5, count=400_000)
    key, _, _ = parties(3, 2)
    values = np.zeros(packing.count, np.int64)
    bfv.encrypt(key, packing.pack(values))
    tracemalloc.start()
    try:
        made = bfv.encrypt(key, packing.pack(values))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= 2 * made.nbytes


def passes(module, work) -> int:
    """How often records go through a network."""
    count = 0

    def counted(*_):
        nonlocal count
        count += 1

    hook = module.register_forward_hook(counted)
    try:
        work()
    finally:
        hook.remove()
    return count


def flops(work) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def test_a_step_of_dp_sgd_costs_the_arithmetic_of_one_without(watched):
    federation, _, _ = watched
    layout, train = Layout.of(toy.SCHEMA), federation.plan.train
    pair = Pair.new(layout, federation.plan.model, 1)
    entered = Judged(pair.discriminator.double(), train.objective)
    codes = encode(toy.records(64).drop(columns="hospital"), toy.SCHEMA)
    rows = record_tensor(layout.to_model(codes), layout).double()

    def plain():
        entered(rows, entered.draws(rows)).sum().backward()

    def bounded(*, at_once: bool):
        clipping = Clipping(entered, Device.of("cpu"))
        for part in [rows] if at_once else rows.split(1):
            clipping.sum(part, 1.0)
        clipping.close()

    # a pass forwards and one backwards, norms, and three records of zeros for how many fit into memory
    assert flops(lambda: bounded(at_once=True)) / flops(plain) <= 1.2
    # arithmetic is the same record by record; what vectorising saves is passes through the network:
    # one with records, and two on a row's shape alone, at the first step
    assert passes(entered, lambda: bounded(at_once=True)) == 1 + 2
    assert passes(entered, lambda: bounded(at_once=False)) == 64 + 2


def test_a_command_line_that_only_explains_itself_loads_none_of_the_heavy_libraries():
    heavy = {
        "torch",
        "flwr",
        "tenseal",
        "opacus",
        "sklearn",
        "pandas",
        "matplotlib",
        "fastapi",
        "onnxruntime",
    }
    code = (
        "import sys; sys.argv = ['fedcgan', '--help']\n"
        "from common.launch import main\n"
        "main()\n"
        f"print(sorted({heavy!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"
