"""Accuracy of effects and their uncertainty on data with known truth: ``python -m benchmarks.accuracy``.

``problems`` and ``seqc`` have counts with known effects, ``answers`` the results of bayesde, ``peers`` those
of limma and edgeR, ``metrics`` the scores of an answer, ``judge`` all scores of a problem as tidy tables;
``page`` and ``pictures`` present them. accuracy.md reports the results.
"""
