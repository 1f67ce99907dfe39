"""Sources of data that `tfft fetch` gets."""
