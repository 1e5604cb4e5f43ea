// The full hierarchical model: the joint posterior of genes and hyperparameters.
//
//   y_gj             ~ NB(mean = nf_gj exp(x_j beta_g + sum_r covariate_rj u_gr,level_rj), dispersion = alpha_g)
//   beta_gk          ~ Cauchy(0, S_k) or Student-t(nu_k, 0, S_k), where coefficients may share S and nu, or a known
//                      mixture, or Normal(0, unshrunken_sd)
//   log(alpha_g)     ~ Normal or Student-t(nu) around log(a0 + a1 / base_mean_g) or log(a0), scale dispersion_sd
//   u_grl            ~ Normal(0, tau_gr), log(tau_gr) ~ Normal(random_sd_center_r, random_sd_spread_r)
//   random_sd_center_r, log(random_sd_spread_r) ~ Normal
//   log(S), log(nu_k), log(a0), log(a1) ~ Normal;  dispersion_sd ~ log-normal or half Student-t;  nu ~ Gamma above 2
functions {
#include functions/nb.stan
#include functions/trend.stan
#include functions/gene_effects.stan
#include functions/mixtures.stan
#include functions/priors.stan
#include functions/random_effects.stan
  // Log density of the genes start to end: priors given the hyperparameters, and likelihood.
  real some_genes(array[] vector z, int start, int end, data array[,] int y, data array[] vector counts,
                  data array[] vector log_y, data vector saturated, data matrix x_all, data array[] vector log_nf,
                  data array[] vector location, data array[] matrix scale, data array[,] int noncentered,
                  data array[] vector width, data array[] vector precision, data array[] vector precision_times_mean,
                  data array[] int shrunken, data array[] int effects, data real unshrunken_sd,
                  data matrix components, data array[] int first_component, data array[] int last_component,
                  data int residuals, data int use_likelihood, data array[] int random_of,
                  data array[] vector level_precision, data array[] vector level_precision_times_mean,
                  data array[] matrix level_by_coefficient, vector effect_nu, vector effect_scale, vector log_trend,
                  real dispersion_sd, real nu, vector random_sd_center, vector random_sd_spread) {
    int P = size(shrunken);
    int R = rows(random_sd_center);
    int L = size(random_of);
    int D = P + R + 1;
    vector[R + 1] residual_spread = append_row(random_sd_spread, dispersion_sd);
    real total = 0;
    for (i in 1 : size(z)) {
      int g = start + i - 1;
      vector[D] z_g = head(z[i], D);
      vector[D] theta = gene_effects(z_g, location[g], scale[g], noncentered[g], width[g], precision[g],
                                     precision_times_mean[g], effects, effect_nu, effect_scale,
                                     append_row(random_sd_center, log_trend[g]), residual_spread);
      vector[P] beta_g = head(theta, P);
      vector[P + L] beta_all = append_row(beta_g, rep_vector(0, L));
      total += coefficients_log_prior(beta_g, z_g, noncentered[g], width[g], shrunken, effects, effect_nu,
                                      effect_scale, unshrunken_sd, components, first_component, last_component);
      total += dispersion_log_prior(theta[D], noncentered[g, D], precision[g, R + 1], log_trend[g], dispersion_sd,
                                    residuals, nu);
      if (R > 0) {
        vector[R] log_sd = segment(theta, P + 1, R);
        vector[L] sd = exp(log_sd[random_of]);
        vector[L] u = level_effects(tail(z[i], L), sd, beta_g - head(location[g], P), level_precision[g],
                                    level_precision_times_mean[g], level_by_coefficient[g]);
        total += random_sd_log_prior(log_sd, noncentered[g, (P + 1) : (P + R)], head(precision[g], R),
                                     random_sd_center, random_sd_spread);
        total += level_effects_log_prior(u, sd, level_precision[g]);
        beta_all[(P + 1) : (P + L)] = u;
      }
      if (use_likelihood) {
        total += nb_gene(y[g], counts[g], log_y[g], saturated[g], x_all, log_nf[g], beta_all, theta[D]);
      }
    }
    return total;
  }
}
data {
#include data/counts.stan
  vector<lower=0>[G] base_mean;  // mean normalized count
#include data/random_effects.stan
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
#include transformed_data/random_effects.stan
}
parameters {
  array[G] vector[D + L] z;  // rescaled gene parameters, and those of the levels of random effects
  vector[K] log_shrinkage_scale;  // log(S), natural log, see scale_of
  vector[M] log_effect_nu;  // natural log of degrees of freedom, see nu_of
  real log_dispersion_sd;  // natural log of the scale of log dispersions around the trend
  real log_asymptotic_dispersion;  // log(a0)
  vector[trend] log_extra_poisson;  // log(a1)
  vector[2 * R] random_sd_law;  // random_sd_center and log(random_sd_spread) of one random effect after the other
  vector<lower=2>[sample_nu] nu;  // degrees of freedom of the residuals
}
transformed parameters {
  // S_k, natural log; unshrunken_sd where not shrunken, mixture_scale where the prior is a mixture
  vector[P] shrinkage_scale = rep_vector(unshrunken_sd, P);
  vector[size_of_nu] effect_nu = head(effect_nu_value, size_of_nu);  // degrees of freedom nu_k
  real dispersion_sd = exp(log_dispersion_sd);  // natural log
  vector[R] random_sd_center;  // mean over the genes of the log standard deviations of random effects, natural log
  vector[R] random_sd_spread;  // and their standard deviation
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
  for (r in 1 : R) {
    random_sd_center[r] = random_sd_law[2 * r - 1];
    random_sd_spread[r] = exp(random_sd_law[2 * r]);
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
  for (r in 1 : R) {
    target += normal_lpdf(segment(random_sd_law, 2 * r - 1, 2) | random_sd_law_mean[r], random_sd_law_sd[r]);
  }
  target += gamma_lpdf(nu | nu_shape, nu_rate);  // the constant of the truncation at 2 is left out
  target += reduce_sum_static(some_genes, z, grainsize, y, counts, log_y, saturated, x_all, log_nf, location, scale,
                              noncentered, width, residual_precision, residual_precision_times_mean, shrunken,
                              effects, unshrunken_sd, components, first_component, last_component, residuals,
                              use_likelihood, random_of, level_precision, level_precision_times_mean,
                              level_by_coefficient, effect_nu, shrinkage_scale, log_trend, dispersion_sd,
                              sample_nu ? nu[1] : nu_value, random_sd_center, random_sd_spread);
}
generated quantities {
  array[G] vector[P] beta;  // coefficients, natural log
  array[G] vector[R] log_random_sd;  // log standard deviations of random effects, natural log
  array[G] vector[L] random_effect;  // of every level, natural log
  vector[G] log_dispersion;  // natural log
  for (g in 1 : G) {
    real log_trend = log_trend_at(base_mean[g : g], log_asymptotic_dispersion, log_extra_poisson)[1];
    vector[D] theta = gene_effects(head(z[g], D), location[g], scale[g], noncentered[g], width[g],
                                   residual_precision[g], residual_precision_times_mean[g], effects, effect_nu,
                                   shrinkage_scale, append_row(random_sd_center, log_trend),
                                   append_row(random_sd_spread, dispersion_sd));
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
