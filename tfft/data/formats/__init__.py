"""Readers of file formats: CSV, JSON, Parquet, Arrow, folders.

They yield rows and columns, and every error names a line; what a column means is decided elsewhere.
"""
