// A block of genes given the hyperparameters: genes are independent, and each has P + 1 parameters, with random effects
// P + R + 1 and one for each of their levels.
//
//   y_gj             ~ NB(mean = nf_gj exp(x_j beta_g + sum_r covariate_rj u_gr,level_rj), dispersion = alpha_g)
//   beta_gk          ~ Cauchy(0, S_k), Student-t(nu_k, 0, S_k), a known mixture, or Normal(0, unshrunken_sd)
//   log(alpha_g)     ~ Normal or Student-t(nu) around log_trend_g, scale dispersion_sd
//   u_grl            ~ Normal(0, tau_gr), log(tau_gr) ~ Normal(random_sd_center_r, random_sd_spread_r)
functions {
#include functions/nb.stan
#include functions/gene_effects.stan
#include functions/mixtures.stan
#include functions/priors.stan
#include functions/random_effects.stan
}
data {
#include data/counts.stan
#include data/random_effects.stan
#include data/rescaling.stan
#include data/coefficient_priors.stan
  vector<lower=0>[P] shrinkage_scale;  // S_k, natural log; not read where shrunken is 0, or effects is 2
  vector<lower=0>[P] effect_nu;  // degrees of freedom nu_k; not read unless effects is 1
  vector[G] log_trend;  // natural log of the dispersion trend at each gene
  real<lower=0> dispersion_sd;  // scale of the residuals around the trend, natural log
  real<lower=0> nu;  // degrees of freedom of Student-t residuals; not read when residuals is 0
  vector[R] random_sd_center;  // mean over the genes of the log standard deviations of random effects, natural log
  vector<lower=0>[R] random_sd_spread;  // and their standard deviation
#include data/flags.stan
}
transformed data {
#include transformed_data/counts.stan
#include transformed_data/mixtures.stan
#include transformed_data/random_effects.stan
  vector[R + 1] residual_spread = append_row(random_sd_spread, dispersion_sd);
  vector[P] effect_scale = shrinkage_scale;
  for (k in 1 : P) {
    if (effects[k] == 2) {
      effect_scale[k] = mixture_scale[k];
    }
  }
}
parameters {
  array[G] vector[D + L] z;  // rescaled parameters, and those of the levels
}
model {
  for (g in 1 : G) {
    vector[D] z_g = head(z[g], D);
    vector[D] theta = gene_effects(z_g, location[g], scale[g], noncentered[g], width[g], residual_precision[g],
                                   residual_precision_times_mean[g], effects, effect_nu, effect_scale,
                                   append_row(random_sd_center, log_trend[g]), residual_spread);
    vector[P] beta_g = head(theta, P);
    vector[P + L] beta_all = append_row(beta_g, rep_vector(0, L));
    target += coefficients_log_prior(beta_g, z_g, noncentered[g], width[g], shrunken, effects, effect_nu,
                                     effect_scale, unshrunken_sd, components, first_component, last_component);
    target += dispersion_log_prior(theta[D], noncentered[g, D], precision[g], log_trend[g], dispersion_sd,
                                   residuals, nu);
    if (R > 0) {
      vector[R] log_sd = segment(theta, P + 1, R);
      vector[L] sd = exp(log_sd[random_of]);
      vector[L] u = level_effects(tail(z[g], L), sd, beta_g - head(location[g], P), level_precision[g],
                                  level_precision_times_mean[g], level_by_coefficient[g]);
      target += random_sd_log_prior(log_sd, noncentered[g, (P + 1) : (P + R)], random_sd_precision[g],
                                    random_sd_center, random_sd_spread);
      target += level_effects_log_prior(u, sd, level_precision[g]);
      beta_all[(P + 1) : (P + L)] = u;
    }
    if (use_likelihood) {
      target += nb_gene(y[g], counts[g], log_y[g], saturated[g], x_all, log_nf[g], beta_all, theta[D]);
    }
  }
}
generated quantities {
  array[G] vector[P] beta;  // coefficients, natural log
  array[G] vector[R] log_random_sd;  // log standard deviations of random effects, natural log
  array[G] vector[L] random_effect;  // of every level, natural log
  vector[G] log_dispersion;  // natural log
  for (g in 1 : G) {
    vector[D] theta = gene_effects(head(z[g], D), location[g], scale[g], noncentered[g], width[g],
                                   residual_precision[g], residual_precision_times_mean[g], effects, effect_nu,
                                   effect_scale, append_row(random_sd_center, log_trend[g]), residual_spread);
    beta[g] = head(theta, P);
    log_dispersion[g] = theta[D];
    if (R > 0) {
      log_random_sd[g] = segment(theta, P + 1, R);
      random_effect[g] = level_effects(tail(z[g], L), exp(log_random_sd[g][random_of]),
                                       beta[g] - head(location[g], P), level_precision[g],
                                       level_precision_times_mean[g], level_by_coefficient[g]);
    }
  }
}
