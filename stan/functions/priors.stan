  /**
   * Log prior density of one gene's coefficients.
   *
   * @param beta coefficients, natural log
   * @param z sampled values, see gene_effects
   * @param noncentered 1 where z_k stands for beta_k
   * @param width see bounded_cauchy
   * @param shrunken 1: Cauchy(0, shrinkage_scale), 0: Normal(0, unshrunken_sd)
   * @param shrinkage_scale Cauchy scale of every coefficient, natural log (not read where shrunken is 0)
   * @param unshrunken_sd standard deviation of the coefficients that are not shrunken, natural log
   * @return log density (of z_k where noncentered, of beta_k elsewhere), constants included
   */
  real coefficients_log_prior(vector beta, vector z, data array[] int noncentered, data vector width,
                              data array[] int shrunken, vector shrinkage_scale, data real unshrunken_sd) {
    real total = 0;
    for (k in 1 : size(shrunken)) {
      if (noncentered[k]) {
        total += bounded_cauchy_log_density(z[k], beta[k], shrinkage_scale[k], width[k]);
      } else if (shrunken[k]) {
        total += cauchy_lpdf(beta[k] | 0, shrinkage_scale[k]);
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
