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
   * scale is upper triangular, so e is found from the last element to the first.
   *
   * @param z what the sampler moves
   * @param location centre, natural log
   * @param scale upper triangular
   * @param noncentered 1 where the coefficient is non-centered
   * @param shrinkage_scale Cauchy scales, natural log
   * @return theta = (beta, log_dispersion), natural log
   */
  vector gene_effects(vector z, data vector location, data matrix scale, data array[] int noncentered,
                      vector shrinkage_scale) {
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
      if (k < D ? noncentered[k] : 0) {
        theta[k] = shrinkage_scale[k] * cauchy_of_secant(z[k]);
        e[k] = (theta[k] - rest) / scale[k, k];
      } else {
        theta[k] = rest + scale[k, k] * z[k];
      }
    }
    return theta;
  }
