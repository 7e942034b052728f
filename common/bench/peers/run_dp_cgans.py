"""dp-cgans (Sun et al. 2023) with its own settings, in its private mode; it takes no epsilon."""

import numpy as np
import pandas as pd
import torch
from dp_cgans import DP_CGAN
from exchange import read, write


def main():
    """Run the task."""
    task, codes, _ = read()
    torch.manual_seed(task["seed"])
    names = [f"c{place}" for place in range(codes.shape[1])]
    frame = pd.DataFrame(codes, columns=names).astype(str)
    network = DP_CGAN(private=True, cuda=False, verbose=True)
    network.fit(frame)
    made = network.sample(task["records"])
    write(made[names].to_numpy().astype(np.int64), ["dp-cgans", "torch", "numpy"], {})


if __name__ == "__main__":
    main()
