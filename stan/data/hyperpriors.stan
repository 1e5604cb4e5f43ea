  int<lower=0, upper=P> K;  // Cauchy scales S: one for every shrunken coefficient, or fewer if some share a scale
  array[P] int<lower=0, upper=K> scale_of;  // which scale each coefficient has; 0 where it is not shrunken
  vector[K] log_scale_mean;  // log(S) ~ Normal(log_scale_mean, log_scale_sd), once a scale: proper, and keeps S above 0
  vector<lower=0>[K] log_scale_sd;
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
