  /**
   * A number with the hyperbolic secant distribution turned into a standard Cauchy number.
   *
   * If z has density sech(pi z / 2) / 2, whose variance is 1 and whose tails are exponential, then sinh(pi z / 2) is
   * Cauchy(0, 1).
   *
   * @param z real number
   * @return sinh(pi z / 2)
   */
  real cauchy_of_secant(real z) {
    return sinh(0.5 * pi() * z);
  }

  /**
   * Log density of the hyperbolic secant distribution.
   */
  real secant_log_density(real z) {
    return -log_sum_exp(0.5 * pi() * z, -0.5 * pi() * z);
  }

  /**
   * One gene's parameters from what the sampler moves.
   *
   * theta = location + scale e, where e_i = z_i, but for a non-centered coefficient k, where z_k has the hyperbolic
   * secant distribution and stands for beta_k = S_k cauchy_of_secant(z_k), and e_k is what makes theta_k equal to that.
   * A non-centered log dispersion is log_trend + dispersion_sd z.
   * scale is upper triangular, so e is found from the last element to the first.
   *
   * @param z what the sampler moves
   * @param location centre, natural log
   * @param scale upper triangular
   * @param noncentered 1 where the coefficient, or (last) the log dispersion, is non-centered
   * @param shrinkage_scale Cauchy scales, natural log
   * @param log_trend natural log of the dispersion trend at this gene
   * @param dispersion_sd scale of log dispersions around the trend
   * @return theta = (beta, log_dispersion), natural log
   */
  vector gene_effects(vector z, data vector location, data matrix scale, data array[] int noncentered,
                      vector shrinkage_scale, real log_trend, real dispersion_sd) {
    if (sum(noncentered) == 0) {
      return location + scale * z;
    }
    int D = rows(z);
    vector[D] e = z;
    vector[D] theta;
    for (i in 1 : D) {
      int k = D + 1 - i;
      real rest = location[k];
      for (m in (k + 1) : D) {
        rest += scale[k, m] * e[m];
      }
      if (noncentered[k]) {
        theta[k] = k < D ? shrinkage_scale[k] * cauchy_of_secant(z[k]) : log_trend + dispersion_sd * z[k];
        e[k] = (theta[k] - rest) / scale[k, k];
      } else {
        theta[k] = rest + scale[k, k] * z[k];
      }
    }
    return theta;
  }
