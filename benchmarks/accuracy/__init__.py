"""Effects and their uncertainty beside a known truth: ``python -m benchmarks.accuracy``.

``problems`` and ``seqc`` have counts with known effects, ``answers`` what bayesde says of them, ``peers``
what limma and edgeR say, ``metrics`` the numbers of an answer beside a truth, ``judge`` all numbers of a
problem as tidy tables, ``page`` and ``pictures`` show them. accuracy.md has what was found.
"""
