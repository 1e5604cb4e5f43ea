"""Wald and likelihood-ratio tests, and p-values adjusted for multiple testing."""
