"""Measurements of bayesde and comparisons with other tools; README.md explains them."""
