"""Samples of the same donors: error, coverage and false signs where the truth is known, and what it costs."""
