"""A whole federation on this machine: real processes, real TLS, real faults."""

import os

import pytest

takes_minutes = pytest.mark.skipif(
    not os.environ.get("FEDCGAN_DEPLOYMENT"), reason="minutes of a whole federation: make deployment"
)
