"""CTGAN (Xu et al. 2019) with its own settings: not private, what a GAN can do without noise."""

import numpy as np
import pandas as pd
import torch
from ctgan import CTGAN
from exchange import read, write


def main():
    """Run the task."""
    task, codes, _ = read()
    torch.manual_seed(task["seed"])
    names = [f"c{place}" for place in range(codes.shape[1])]
    network = CTGAN(verbose=True)
    network.set_random_state(task["seed"])
    network.fit(pd.DataFrame(codes, columns=names), names)
    made = network.sample(task["records"])
    write(made[names].to_numpy().astype(np.int64), ["ctgan", "torch", "numpy"], {})


if __name__ == "__main__":
    main()
