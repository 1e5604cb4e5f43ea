"""Point estimates as DESeq2 and apeglm make them.

The steps, in order: size factors (``size_factors``), gene-wise dispersions, their trend, the prior around it
and maximum a-posteriori dispersions (``dispersion``), regression coefficients (``regression``), and outlier
counts (``outliers``). ``genes`` runs them for a block of genes, ``passes`` for all blocks; ``inputs`` and
``estimates`` hold what a fit starts from and what it finds, and ``fit`` is the object that users work with.
``tables`` makes Wald and likelihood-ratio tests (``testing``) and shrunken effects (``shrinkage``).
``transforms`` transforms counts.
"""
