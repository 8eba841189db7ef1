"""What holds for all tests."""

import os

# Two test processes share two cores, and torch's threads wait for each other by spinning: one thread each is faster.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
