"""Weights and data by package: what can be fetched, and how it is checked and unpacked."""
