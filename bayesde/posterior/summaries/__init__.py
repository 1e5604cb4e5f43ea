"""Summaries of a posterior: contrasts, tails, tables and checks."""
