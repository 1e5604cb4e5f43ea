  int<lower=0, upper=P> K;  // scales S: one for every shrunken coefficient, or fewer if some share a scale
  array[P] int<lower=0, upper=K> scale_of;  // which scale each coefficient has; 0 where not shrunken, or a mixture
  vector[K] log_scale_mean;  // log(S) ~ Normal(log_scale_mean, log_scale_sd), once a scale: proper, and keeps S above 0
  vector<lower=0>[K] log_scale_sd;
  int<lower=0, upper=K> M;  // degrees of freedom of Student-t priors that are sampled; coefficients may share one
  array[P] int<lower=0, upper=M> nu_of;  // which of these each coefficient has; 0: effect_nu_value
  vector<lower=0>[P] effect_nu_value;  // degrees of freedom nu_k where they are known; not read unless effects is 1
  vector[M] log_effect_nu_mean;  // log(nu_k) ~ Normal(log_effect_nu_mean, log_effect_nu_sd)
  vector<lower=0>[M] log_effect_nu_sd;
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
  // For every random effect, means and standard deviations of the normal priors of random_sd_center and
  // log(random_sd_spread), of the log standard deviations over the genes
  array[R] vector[2] random_sd_law_mean;
  array[R] vector<lower=0>[2] random_sd_law_sd;
