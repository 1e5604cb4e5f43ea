"""Measurements of bayesde beside its peers; ``python -m benchmarks`` runs them, README.md explains them."""
