// A posterior known in closed form: mu is normal; tau has a lognormal prior and no data.
functions {
  real partial_log_lik_lpdf(array[] real y, int start, int end, real mu, real sigma) {
    return normal_lupdf(y | mu, sigma);
  }
}
data {
  int<lower=0> N;
  array[N] real y;
  real<lower=0> sigma; // known standard deviation of y
  int<lower=1> grainsize;
}
parameters {
  real mu;
  real<lower=0> tau;
}
model {
  mu ~ normal(0, 10);
  tau ~ lognormal(0.5, 0.3);
  profile("likelihood") {
    target += reduce_sum(partial_log_lik_lupdf, y, grainsize, mu, sigma);
  }
}
generated quantities {
  real mu_twice = 2 * mu;
  real y_new = normal_rng(mu, sigma);
}
