  // Prior of each coefficient. 0: Normal(0, unshrunken_sd), 1: Cauchy(0, shrinkage_scale)
  array[P] int<lower=0, upper=1> shrunken;
  real<lower=0> unshrunken_sd;  // standard deviation of the coefficients that are not shrunken, natural log
