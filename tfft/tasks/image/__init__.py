"""Tasks on images, one file each."""
