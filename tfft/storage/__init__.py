"""Everything on disk: working directories, files written whole, the cache, downloads."""
