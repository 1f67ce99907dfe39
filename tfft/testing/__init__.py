"""Test cases for a person's own tasks."""
