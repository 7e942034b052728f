"""Coverage-guided fuzzing of the same decoders: ``python -m tests.fuzz.decoders -max_total_time=60``.

Arguments are libFuzzer's. The first byte of an input chooses the decoder, the rest is fed to it; honest
encodings are the corpus to start from. An input that is neither taken nor refused with a typed error, or that
needs more than 2 GiB, ends the run with a status other than 0 and is kept in the folder of
``-artifact_prefix``.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["common.protocol", "common.crypto", "msgpack"]):
    import common.crypto.encrypted
    import common.protocol.messages
    import common.protocol.records  # noqa: F401 - imported here to be instrumented

from . import memory
from .hostile import WHOLE
from .table import DECODERS, feed
from .world import build

_LONGEST = 1 << 16
_NAMES = list(DECODERS)


def main(arguments: list[str]) -> None:
    """Fuzz until libFuzzer stops."""
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world = build(folder / "world")
        corpus = folder / "corpus"
        corpus.mkdir()
        for number, decoder in enumerate(DECODERS.values()):
            for index, seed in enumerate(decoder.seeds(world) + list(WHOLE[:20])):
                if len(seed) < _LONGEST:
                    (corpus / f"{number}-{index}").write_bytes(bytes([number]) + seed)

        def one(data: bytes) -> None:
            if data:
                feed(DECODERS[_NAMES[data[0] % len(_NAMES)]].decode, world, data[1:])

        memory.bound()
        atheris.Setup([*arguments, f"-max_len={_LONGEST}", "-rss_limit_mb=0", str(corpus)], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
