"""Paired speed measurements against named peers: `python -m benchmarks NAME [--quick]`."""
