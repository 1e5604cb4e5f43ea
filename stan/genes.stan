// A block of genes given the hyperparameters: genes are independent, and each has P + 1 parameters.
//
//   y_gj             ~ NB(mean = nf_gj exp(x_j beta_g), dispersion = alpha_g)
//   beta_gk          ~ Cauchy(0, S_k), Student-t(nu_k, 0, S_k), a known mixture, or Normal(0, unshrunken_sd)
//   log(alpha_g)     ~ Normal or Student-t(nu) around log_trend_g, scale dispersion_sd
functions {
#include functions/nb.stan
#include functions/gene_effects.stan
#include functions/mixtures.stan
#include functions/priors.stan
}
data {
#include data/counts.stan
#include data/rescaling.stan
#include data/coefficient_priors.stan
  vector<lower=0>[P] shrinkage_scale;  // S_k, natural log; not read where shrunken is 0, or effects is 2
  vector<lower=0>[P] effect_nu;  // degrees of freedom nu_k; not read unless effects is 1
  vector[G] log_trend;  // natural log of the dispersion trend at each gene
  real<lower=0> dispersion_sd;  // scale of the residuals around the trend, natural log
  real<lower=0> nu;  // degrees of freedom of Student-t residuals; not read when residuals is 0
#include data/flags.stan
}
transformed data {
#include transformed_data/counts.stan
#include transformed_data/mixtures.stan
  vector[P] effect_scale = shrinkage_scale;
  for (k in 1 : P) {
    if (effects[k] == 2) {
      effect_scale[k] = mixture_scale[k];
    }
  }
}
parameters {
  array[G] vector[P + 1] z;  // rescaled parameters
}
model {
  for (g in 1 : G) {
    vector[P + 1] theta = gene_effects(z[g], location[g], scale[g], noncentered[g], width[g], precision[g],
                                         precision_times_mean[g], effects, effect_nu, effect_scale, log_trend[g],
                                         dispersion_sd);
    vector[P] beta_g = head(theta, P);
    target += coefficients_log_prior(beta_g, z[g], noncentered[g], width[g], shrunken, effects, effect_nu,
                                     effect_scale, unshrunken_sd, components, first_component, last_component);
    target += dispersion_log_prior(theta[P + 1], noncentered[g, P + 1], precision[g], log_trend[g], dispersion_sd,
                                   residuals, nu);
    if (use_likelihood) {
      target += nb_gene(y[g], counts[g], log_y[g], saturated[g], x, log_nf[g], beta_g, theta[P + 1]);
    }
  }
}
generated quantities {
  array[G] vector[P] beta;  // coefficients, natural log
  vector[G] log_dispersion;  // natural log
  for (g in 1 : G) {
    vector[P + 1] theta = gene_effects(z[g], location[g], scale[g], noncentered[g], width[g], precision[g],
                                         precision_times_mean[g], effects, effect_nu, effect_scale, log_trend[g],
                                         dispersion_sd);
    beta[g] = head(theta, P);
    log_dispersion[g] = theta[P + 1];
  }
}
