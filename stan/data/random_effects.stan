  int<lower=0> R;  // random effects, each with a standard deviation of its own; 0 for none
  array[R] int<lower=1> n_levels;  // levels (donors) of each
  array[R, N] int<lower=1> level;  // which level of each random effect a sample has
  array[R] vector[N] covariate;  // what the effects are multiplied by: 1 for random intercepts
  int<lower=0> L;  // levels of all random effects, one random effect after the other
  // Normal approximations of the likelihood, see level_effects for those of the levels, and gene_effects for those of
  // the log standard deviations; all 0 for none. Not read (empty) where there are no random effects.
  array[R > 0 ? G : 0] vector<lower=0>[L] level_precision;
  array[R > 0 ? G : 0] vector[L] level_precision_times_mean;
  array[R > 0 ? G : 0] matrix[L, P] level_by_coefficient;
  array[R > 0 ? G : 0] vector<lower=0>[R] random_sd_precision;
  array[R > 0 ? G : 0] vector[R] random_sd_precision_times_mean;
