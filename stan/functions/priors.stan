  /**
   * Log prior density of a shrunken coefficient.
   *
   * @param beta coefficient, natural log
   * @param effects 0: Cauchy(0, scale), 1: Student-t(nu, 0, scale), 2: mixture
   * @param nu degrees of freedom (not read unless effects is 1)
   * @param scale natural log (not read when effects is 2)
   * @param components see mixture_log_density
   * @param first first row of this coefficient's mixture
   * @param last last row
   */
  real effect_log_prior(real beta, data int effects, real nu, real scale, data matrix components, data int first,
                        data int last) {
    if (effects == 0) {
      return cauchy_lpdf(beta | 0, scale);
    }
    if (effects == 1) {
      return student_t_lpdf(beta | nu, 0, scale);
    }
    return mixture_log_density(beta, components, first, last);
  }

  /**
   * Log density of the z that a non-centered coefficient is computed from.
   *
   * @param z sampled value, see gene_effects
   * @param width see bounded_sinh
   * @param scale natural log; of a mixture, see mixture_scale_at
   * The other arguments are those of effect_log_prior.
   */
  real noncentered_log_prior(real z, real beta, data real width, data int effects, real nu, real scale,
                             data matrix components, data int first, data int last) {
    if (effects == 0) {
      return bounded_cauchy_log_density(z, beta, scale, width);
    }
    if (effects == 1) {
      return bounded_t_log_density(z, beta, nu, scale, width);
    }
    return mixture_log_density(beta, components, first, last) + bounded_cauchy_log_slope(z, beta, scale, width);
  }

  /**
   * Log prior density of one gene's coefficients.
   *
   * @param beta coefficients, natural log
   * @param z sampled values, see gene_effects
   * @param noncentered 1 where z_k stands for beta_k
   * @param width see bounded_sinh
   * @param shrunken 1: the prior that effects says, 0: Normal(0, unshrunken_sd)
   * @param effects 0: Cauchy, 1: Student-t, 2: mixture (not read where shrunken is 0)
   * @param effect_nu degrees of freedom of every coefficient's prior (not read unless effects is 1)
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
      int first = first_component[k];
      int last = last_component[k];
      if (noncentered[k]) {
        total += noncentered_log_prior(z[k], beta[k], width[k], effects[k], effect_nu[k], effect_scale[k], components,
                                       first, last);
      } else if (shrunken[k]) {
        total += effect_log_prior(beta[k], effects[k], effect_nu[k], effect_scale[k], components, first, last);
      } else {
        total += normal_lpdf(beta[k] | 0, unshrunken_sd);
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
