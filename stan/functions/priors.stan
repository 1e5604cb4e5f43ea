  /**
   * Log prior density of one gene's coefficients.
   *
   * @param beta coefficients, natural log
   * @param z sampled values, see gene_effects
   * @param noncentered 1 where z_k stands for beta_k
   * @param width see bounded_sinh
   * @param shrunken 1: the prior that effects says, 0: Normal(0, unshrunken_sd)
   * @param effects 0: Cauchy, 1: Student-t, 2: mixture (not read where shrunken is 0)
   * @param effect_nu degrees of freedom of every coefficient's prior; may be empty if no effects is 1
   * @param effect_scale scale of every coefficient's prior, natural log (not read where shrunken is 0); of a mixture,
   *   see mixture_scale_at
   * @param unshrunken_sd standard deviation of the coefficients that are not shrunken, natural log
   * @param components of all mixtures, see mixture_log_density
   * @param first_component first row of every coefficient's mixture
   * @param last_component last row
   * @return log density (of z_k where noncentered, of beta_k elsewhere), constants included
   */
  real coefficients_log_prior(vector beta, vector z, data array[] int noncentered, data vector width,
                              data array[] int shrunken, data array[] int effects, vector effect_nu,
                              vector effect_scale, data real unshrunken_sd, data matrix components,
                              data array[] int first_component, data array[] int last_component) {
    real total = 0;
    for (k in 1 : size(shrunken)) {
      if (!shrunken[k]) {
        total += normal_lpdf(beta[k] | 0, unshrunken_sd);
      } else if (effects[k] == 0) {
        total += noncentered[k] ? bounded_cauchy_log_density(z[k], beta[k], effect_scale[k], width[k])
                                : cauchy_lpdf(beta[k] | 0, effect_scale[k]);
      } else if (effects[k] == 1) {
        total += noncentered[k] ? bounded_t_log_density(z[k], beta[k], effect_nu[k], effect_scale[k], width[k])
                                : student_t_lpdf(beta[k] | effect_nu[k], 0, effect_scale[k]);
      } else {
        total += mixture_log_density(beta[k], components, first_component[k], last_component[k]);
        if (noncentered[k]) {
          total += bounded_cauchy_log_slope(z[k], beta[k], effect_scale[k], width[k]);
        }
      }
    }
    return total;
  }

  /**
   * Log prior density of one gene's log dispersion around the trend.
   *
   * @param log_dispersion natural log of the dispersion
   * @param noncentered 1 where the log dispersion is non-centered, see gene_effects
   * @param precision of the normal approximation of the likelihood, see gene_effects
   * @param log_trend natural log of the trend at this gene's mean
   * @param dispersion_sd scale of the residuals, natural log
   * @param residuals 0: Normal, 1: Student-t
   * @param nu degrees of freedom of the Student-t (not read when residuals is 0)
   * @return log density (of z where noncentered, of log_dispersion elsewhere), constants included
   */
  real dispersion_log_prior(real log_dispersion, data int noncentered, data real precision, real log_trend,
                            real dispersion_sd, data int residuals, real nu) {
    real moved = noncentered ? 0.5 * log(partial_variance(precision, dispersion_sd)) : 0;
    return moved + (residuals == 1 ? student_t_lpdf(log_dispersion | nu, log_trend, dispersion_sd)
                                   : normal_lpdf(log_dispersion | log_trend, dispersion_sd));
  }
