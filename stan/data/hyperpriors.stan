  vector[P] log_scale_mean;  // log(S_k) ~ Normal(log_scale_mean, log_scale_sd): proper, and keeps S_k off zero
  vector<lower=0>[P] log_scale_sd;  // (elements of coefficients that are not shrunken are not read)
  int<lower=0, upper=1> dispersion_sd_prior;  // 0: log-normal, 1: half Student-t
  vector[3] dispersion_sd_hyper;  // log-normal: (mean, sd) of the log, third not read; half Student-t: (df, 0, scale)
  real log_asymptotic_dispersion_mean;  // log(a0) ~ Normal
  real<lower=0> log_asymptotic_dispersion_sd;
  real log_extra_poisson_mean;  // log(a1) ~ Normal (not read when trend is 0)
  real<lower=0> log_extra_poisson_sd;
  int<lower=0, upper=1> nu_known;  // of Student-t residuals; 0: sampled, Gamma(nu_shape, nu_rate) above 2; 1: nu_value
  real<lower=0> nu_value;  // degrees of freedom when nu_known is 1
  real<lower=0> nu_shape;  // Gamma prior of nu, when nu_known is 0
  real<lower=0> nu_rate;
