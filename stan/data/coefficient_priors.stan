  array[P] int<lower=0, upper=1> shrunken;  // coefficient's prior; 0: Normal(0, wide_sd), 1: Cauchy(0, shrinkage_scale)
  real<lower=0> wide_sd;  // natural log
