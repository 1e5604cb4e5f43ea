// The model of bayesde's engine joint as one would first write it down: centered, on the natural scale, all genes
// and hyperparameters in one density, with Stan's own functions. A yardstick of the benchmarks; bayesde does not use it.
data {
  int<lower=1> G;  // genes
  int<lower=1> N;  // samples
  int<lower=2> P;  // coefficients; the first is the intercept
  array[G, N] int<lower=0> y;  // counts
  matrix[N, P] x;  // design
  vector[N] log_size_factor;  // natural log
  vector<lower=0>[G] base_mean;  // mean normalized count
}
parameters {
  matrix[P, G] beta;  // coefficients, natural log
  vector[G] log_dispersion;  // natural log
  vector<lower=0>[P - 1] shrinkage_scale;
  real<lower=0> dispersion_sd;
  real<lower=0> asymptotic_dispersion;
  real<lower=0> extra_poisson;
}
model {
  shrinkage_scale ~ lognormal(log(0.2), 1.5);
  dispersion_sd ~ lognormal(log(0.7), 0.7);
  asymptotic_dispersion ~ lognormal(log(0.05), 2);
  extra_poisson ~ lognormal(log(2), 2);
  beta[1] ~ normal(0, 15);
  for (k in 2 : P) {
    beta[k] ~ cauchy(0, shrinkage_scale[k - 1]);
  }
  log_dispersion ~ normal(log(asymptotic_dispersion + extra_poisson ./ base_mean), dispersion_sd);
  for (g in 1 : G) {
    y[g] ~ neg_binomial_2_log(log_size_factor + x * beta[, g], exp(-log_dispersion[g]));
  }
}
