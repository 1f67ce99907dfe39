"""Tasks on text, one file each."""
