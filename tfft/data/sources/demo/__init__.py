"""Sources of the data that `tfft fetch` downloads.

Each file is one data set, with its license in `storage.downloads.download_index`.
"""
