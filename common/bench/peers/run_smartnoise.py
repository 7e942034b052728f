"""MST, DPCTGAN and PATE-CTGAN as SmartNoise has them (smartnoise-synth), with its own settings but delta.

Every column is given as a category, so that nothing is spent on bounds. DPCTGAN stops at the first epoch that
begins with more than epsilon spent; what was spent is in what it leaves.
"""

import numpy as np
import pandas as pd
import torch
from exchange import read, write
from snsynth import Synthesizer
from snsynth.pytorch import PytorchDPSynthesizer
from snsynth.pytorch.nn import DPCTGAN, PATECTGAN


def main():
    """Run the task; the further argument names the synthesizer."""
    task, codes, (kind,) = read()
    torch.manual_seed(task["seed"])
    names = [f"c{place}" for place in range(codes.shape[1])]
    frame = pd.DataFrame(codes, columns=names)
    notes = {}
    if kind == "mst":
        synthesizer = Synthesizer.create("mst", epsilon=task["epsilon"], delta=task["delta"])
        synthesizer.fit(frame, categorical_columns=names)
    else:
        network = {"dpctgan": DPCTGAN, "patectgan": PATECTGAN}[kind](
            delta=task["delta"], epsilon=task["epsilon"], cuda=False, verbose=False
        )
        synthesizer = PytorchDPSynthesizer(task["epsilon"], network, None)
        synthesizer.fit(frame, categorical_columns=names)
        spent = [float(value) for value in getattr(network, "epsilon_list", [])]
        notes = {"epochs": len(spent), "epsilon_spent": spent[-1]} if spent else {}
    made = pd.DataFrame(synthesizer.sample(task["records"]))
    packages = ["smartnoise-synth", "mbi", "opacus", "torch", "numpy"]
    write(np.asarray(made.to_numpy(), dtype=float).round(), packages, notes)


if __name__ == "__main__":
    main()
