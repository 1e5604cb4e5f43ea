"""Point estimates as DESeq2 and apeglm make them.

The steps, in order: gene-wise dispersions (``dispersion``), their trend (``trend``), the width of the prior
around it (``dispersion_prior``), maximum a-posteriori dispersions (``dispersion``), regression coefficients
(``glm``), and outlying counts (``outliers``). ``fit`` runs them; ``tables`` then makes Wald tests, adjusted
for multiple testing (``multiple_testing``), and shrunken effects (``shrink``).
"""
