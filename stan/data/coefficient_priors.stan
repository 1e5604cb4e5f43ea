  array[P] int<lower=0, upper=1> shrunken;  // prior of each coefficient; 0: Normal(0, unshrunken_sd), 1: see effects
  real<lower=0> unshrunken_sd;  // standard deviation of the coefficients that are not shrunken, natural log
  // Prior of the shrunken coefficients. 0: Cauchy(0, S_k), 1: Student-t(effect_nu, 0, S_k), 2: a known mixture
  array[P] int<lower=0, upper=2> effects;
  // Mixtures of normal and Student-t distributions around 0: number of components of each coefficient's, 0 for none,
  // and the components of all, one coefficient after the other
  array[P] int<lower=0> components_of;
  vector<lower=0>[sum(components_of)] component_weight;  // adding up to 1 in each mixture
  vector<lower=0>[sum(components_of)] component_scale;  // standard deviation or scale, natural log; above 0
  vector<lower=0>[sum(components_of)] component_nu;  // degrees of freedom; infinite for a normal distribution
