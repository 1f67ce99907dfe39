"""Everything on disk: working directories, atomic writes, array files, the cache, downloads.

No file here knows what is stored.
"""
