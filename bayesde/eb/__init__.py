"""Point estimates as DESeq2 and apeglm make them.

The steps, in order: size factors (``size_factors``), each gene's own dispersion (``dispersion``), the trend
of these (``trend``) and the width of the prior around it (``dispersion_prior``), maximum a-posteriori
dispersions (``dispersion``), regression coefficients (``glm``), and outlying counts (``outliers``). ``genes``
runs them for a block of genes, ``passes`` for all blocks, and ``fit`` is what users see. ``tables`` then
makes Wald (``wald``) and likelihood-ratio tests (``lrt``), adjusted for multiple testing
(``multiple_testing``), and shrunken effects (``shrink``, ``normal_shrinkage``, ``ash``). ``transforms`` and
``rlog`` transform counts.
"""
