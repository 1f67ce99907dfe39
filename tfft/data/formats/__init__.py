"""Readers of file formats: rows and columns, with the line of every error."""
