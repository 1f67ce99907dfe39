"""Metrics and floors that need more than one call of a library."""
