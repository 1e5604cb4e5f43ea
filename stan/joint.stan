// The full hierarchical model: the joint posterior of genes and hyperparameters.
//
//   y_gj             ~ NB(mean = nf_gj exp(x_j beta_g), dispersion = alpha_g)
//   beta_gk          ~ Cauchy(0, S_k) or Student-t(nu_k, 0, S_k), where coefficients may share S and nu, or a known
//                      mixture, or Normal(0, unshrunken_sd)
//   log(alpha_g)     ~ Normal or Student-t(nu) around log(a0 + a1 / base_mean_g) or log(a0), scale dispersion_sd
//   log(S), log(nu_k), log(a0), log(a1) ~ Normal;  dispersion_sd ~ log-normal or half Student-t;  nu ~ Gamma above 2
functions {
#include functions/nb.stan
#include functions/trend.stan
#include functions/gene_effects.stan
#include functions/mixtures.stan
#include functions/priors.stan
  // Log density of the genes start to end: priors given the hyperparameters, and likelihood.
  real some_genes(array[] vector z, int start, int end, data array[,] int y, data array[] vector counts,
                  data array[] vector log_y, data vector saturated, data matrix x, data array[] vector log_nf,
                  data array[] vector location, data array[] matrix scale, data array[,] int noncentered,
                  data array[] vector width, data vector precision, data vector precision_times_mean,
                  data array[] int shrunken, data array[] int effects, data real unshrunken_sd,
                  data matrix components, data array[] int first_component, data array[] int last_component,
                  data int residuals, data int use_likelihood, vector effect_nu, vector effect_scale,
                  vector log_trend, real dispersion_sd, real nu) {
    int P = cols(x);
    real total = 0;
    for (i in 1 : size(z)) {
      int g = start + i - 1;
      vector[P + 1] theta = gene_effects(z[i], location[g], scale[g], noncentered[g], width[g], precision[g],
                                         precision_times_mean[g], effects, effect_nu, effect_scale, log_trend[g],
                                         dispersion_sd);
      vector[P] beta_g = head(theta, P);
      total += coefficients_log_prior(beta_g, z[i], noncentered[g], width[g], shrunken, effects, effect_nu,
                                      effect_scale, unshrunken_sd, components, first_component, last_component);
      total += dispersion_log_prior(theta[P + 1], noncentered[g, P + 1], precision[g], log_trend[g], dispersion_sd,
                                    residuals, nu);
      if (use_likelihood) {
        total += nb_gene(y[g], counts[g], log_y[g], saturated[g], x, log_nf[g], beta_g, theta[P + 1]);
      }
    }
    return total;
  }
}
data {
#include data/counts.stan
  vector<lower=0>[G] base_mean;  // mean normalized count
#include data/rescaling.stan
#include data/coefficient_priors.stan
#include data/hyperpriors.stan
  int<lower=0, upper=1> trend;  // of the dispersion; 0: constant a0, 1: parametric a0 + a1 / base_mean
#include data/flags.stan
  int<lower=1> grainsize;  // genes in one task of a thread
}
transformed data {
  int sample_nu = residuals == 1 && nu_known == 0;
  int size_of_nu = 0;  // of effect_nu: empty if no prior is Student-t
  for (k in 1 : P) {
    if (effects[k] == 1) {
      size_of_nu = P;
    }
    if ((shrunken[k] && effects[k] < 2) != (scale_of[k] > 0)) {
      reject("coefficient ", k, " must have a scale if it is shrunken, and none if it is not, or has a mixture");
    }
    if (nu_of[k] > 0 && !(shrunken[k] && effects[k] == 1)) {
      reject("coefficient ", k, " must not have a nu: its prior is not Student-t");
    }
  }
#include transformed_data/counts.stan
#include transformed_data/mixtures.stan
}
parameters {
  array[G] vector[P + 1] z;  // rescaled gene parameters
  vector[K] log_shrinkage_scale;  // log(S), natural log, see scale_of
  vector[M] log_effect_nu;  // natural log of degrees of freedom, see nu_of
  real log_dispersion_sd;  // natural log of the scale of log dispersions around the trend
  real log_asymptotic_dispersion;  // log(a0)
  vector[trend] log_extra_poisson;  // log(a1)
  vector<lower=2>[sample_nu] nu;  // degrees of freedom of the residuals
}
transformed parameters {
  // S_k, natural log; unshrunken_sd where not shrunken, mixture_scale where the prior is a mixture
  vector[P] shrinkage_scale = rep_vector(unshrunken_sd, P);
  vector[size_of_nu] effect_nu = head(effect_nu_value, size_of_nu);  // degrees of freedom nu_k
  real dispersion_sd = exp(log_dispersion_sd);  // natural log
  for (k in 1 : P) {
    if (scale_of[k]) {
      shrinkage_scale[k] = exp(log_shrinkage_scale[scale_of[k]]);
    } else if (effects[k] == 2) {
      shrinkage_scale[k] = mixture_scale[k];
    }
    if (nu_of[k]) {
      effect_nu[k] = exp(log_effect_nu[nu_of[k]]);
    }
  }
}
model {
  vector[G] log_trend = log_trend_at(base_mean, log_asymptotic_dispersion, log_extra_poisson);
  target += normal_lpdf(log_shrinkage_scale | log_scale_mean, log_scale_sd);
  target += normal_lpdf(log_effect_nu | log_effect_nu_mean, log_effect_nu_sd);
  if (dispersion_sd_prior == 0) {
    target += normal_lpdf(log_dispersion_sd | dispersion_sd_hyper[1], dispersion_sd_hyper[2]);
  } else {  // twice the density on the positive half, and the Jacobian of the logarithm
    target += log(2) + student_t_lpdf(dispersion_sd | dispersion_sd_hyper[1], 0, dispersion_sd_hyper[3])
              + log_dispersion_sd;
  }
  target += normal_lpdf(log_asymptotic_dispersion | log_asymptotic_dispersion_mean, log_asymptotic_dispersion_sd);
  target += normal_lpdf(log_extra_poisson | log_extra_poisson_mean, log_extra_poisson_sd);
  target += gamma_lpdf(nu | nu_shape, nu_rate);  // the constant of the truncation at 2 is left out
  target += reduce_sum_static(some_genes, z, grainsize, y, counts, log_y, saturated, x, log_nf, location, scale,
                              noncentered, width, precision, precision_times_mean, shrunken, effects,
                              unshrunken_sd, components, first_component, last_component, residuals,
                              use_likelihood, effect_nu, shrinkage_scale, log_trend, dispersion_sd,
                              sample_nu ? nu[1] : nu_value);
}
generated quantities {
  array[G] vector[P] beta;  // coefficients, natural log
  vector[G] log_dispersion;  // natural log
  for (g in 1 : G) {
    real log_trend = log_trend_at(base_mean[g : g], log_asymptotic_dispersion, log_extra_poisson)[1];
    vector[P + 1] theta = gene_effects(z[g], location[g], scale[g], noncentered[g], width[g], precision[g],
                                       precision_times_mean[g], effects, effect_nu, shrinkage_scale, log_trend,
                                       dispersion_sd);
    beta[g] = head(theta, P);
    log_dispersion[g] = theta[P + 1];
  }
}
