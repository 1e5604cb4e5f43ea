  /**
   * Variance of every level's random effect given the counts, with a normal approximation of the likelihood.
   *
   * @param sd standard deviation between levels, natural log, one for each level
   * @param precision of the normal approximation
   */
  vector level_variance(vector sd, data vector precision) {
    return square(sd) ./ (1 + precision .* square(sd));
  }

  /**
   * Compute one gene's random effects from the sampled z.
   *
   * The effect u of a level is Normal(0, sd). A normal approximation of its likelihood has the precision w, and where
   * the coefficients are beta the mean (h - a (beta - location)) / w: with v = 1 / (w + 1 / sd^2),
   * u = v (h - a (beta - location)) + sqrt(v) z. With w = h = a = 0 this is sd z.
   *
   * @param z sampled values
   * @param sd standard deviation between levels, natural log, one for each level
   * @param moved beta - location, natural log
   * @param precision w of every level
   * @param precision_times_mean h of every level
   * @param by_coefficient a: one row for each level
   * @return effects, natural log
   */
  vector level_effects(vector z, vector sd, vector moved, data vector precision, data vector precision_times_mean,
                       data matrix by_coefficient) {
    vector[rows(z)] v = level_variance(sd, precision);
    return v .* (precision_times_mean - by_coefficient * moved) + sqrt(v) .* z;
  }

  /**
   * Log density of z for which level_effects are Normal(0, sd), constants included.
   *
   * @param u level_effects(z, sd, ...)
   * @param sd standard deviation between levels, natural log, one for each level
   * @param precision w of every level
   */
  real level_effects_log_prior(vector u, vector sd, data vector precision) {
    return normal_lpdf(u | 0, sd) + 0.5 * sum(log(level_variance(sd, precision)));
  }

  /**
   * Log prior density of one gene's log standard deviations between levels.
   *
   * @param log_sd natural log
   * @param noncentered 1 where the log standard deviation is non-centered, see gene_effects
   * @param precision of the normal approximation of the likelihood, see gene_effects
   * @param center mean over the genes
   * @param spread standard deviation over the genes
   * @return log density (of z where noncentered, of log_sd elsewhere), constants included
   */
  real random_sd_log_prior(vector log_sd, data array[] int noncentered, data vector precision, vector center,
                           vector spread) {
    real total = normal_lpdf(log_sd | center, spread);
    for (r in 1 : rows(log_sd)) {
      if (noncentered[r]) {
        total += 0.5 * log(partial_variance(precision[r], spread[r]));
      }
    }
    return total;
  }
