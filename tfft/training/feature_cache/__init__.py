"""The outputs of frozen layers, computed once and kept in memory or on disk.

`placement` says whether that pays, `cache_keys` what the outputs depend on.
"""
