  /**
   * scale sinh(x), or with a width the same up to about that width, and linear in x beyond.
   *
   * @param x real number
   * @param scale natural log
   * @param width natural log; 0 for none
   */
  real bounded_sinh(real x, real scale, data real width) {
    if (width == 0) {
      return scale * sinh(x);
    }
    if (abs(x) > 300) {  // sinh would overflow soon
      return (x > 0 ? 1 : -1) * width * (abs(x) + log(scale / width));
    }
    return width * asinh(scale / width * sinh(x));
  }

  /**
   * Transform a variable with a hyperbolic secant distribution into one with a Cauchy distribution.
   *
   * If z has density sech(pi z / 2) / 2, whose variance is 1 and whose tails are exponential, then
   * scale sinh(pi z / 2) is Cauchy(0, scale). In the tails this grows exponentially, which suits only a coefficient
   * that the prior alone determines. Where the counts determine it to within about one width,
   * width asinh(scale / width sinh(pi z / 2)) is the same up to about that width, and linear in z beyond.
   *
   * @param z real number
   * @param scale Cauchy scale, natural log
   * @param width natural log; 0 for none
   * @return coefficient, natural log
   */
  real bounded_cauchy(real z, real scale, data real width) {
    return bounded_sinh(0.5 * pi() * z, scale, width);
  }

  /**
   * Rate of z in bounded_t: with it z has a variance of nearly 1, whatever the degrees of freedom (exactly 1 for 1 and
   * for infinitely many; 0.94 to 1.1 from 0.5 on).
   *
   * @param nu degrees of freedom
   */
  real t_rate(real nu) {
    return sqrt((1 + (0.25 * square(pi()) - 1) / nu) / nu);
  }

  /**
   * Transform z into a variable with a Student-t distribution; with nu = 1, as bounded_cauchy does.
   *
   * If x has a density proportional to cosh(x)^-nu, then scale sqrt(nu) sinh(x) is Student-t. z is x divided by
   * t_rate(nu); for large nu it is nearly normal, and the transformation nearly linear.
   *
   * @param z real number
   * @param nu degrees of freedom
   * @param scale of the Student-t distribution, natural log
   * @param width natural log; 0 for none
   * @return coefficient, natural log
   */
  real bounded_t(real z, real nu, real scale, data real width) {
    return bounded_sinh(t_rate(nu) * z, sqrt(nu) * scale, width);
  }

  /**
   * Log of twice the hyperbolic cosine, which does not overflow.
   */
  real log_two_cosh(real x) {
    return log_sum_exp(x, -x);
  }

  /**
   * Log of the hyperbolic cosine, to full precision also near 0.
   */
  real log_cosh(real x) {
    return abs(x) < 1 ? 0.5 * log1p(square(sinh(x))) : log_two_cosh(x) - log2();
  }

  /**
   * Log density of z for which bounded_cauchy(z, scale, width) is Cauchy(0, scale); without a width this is the
   * hyperbolic secant distribution.
   *
   * The derivative with respect to z is scale pi / 2 cosh(pi z / 2) / cosh(beta / width), because
   * sinh(beta / width) = scale / width sinh(pi z / 2).
   *
   * @param beta bounded_cauchy(z, scale, width)
   */
  real bounded_cauchy_log_density(real z, real beta, real scale, data real width) {
    if (width == 0) {
      return -log_two_cosh(0.5 * pi() * z);
    }
    return log_two_cosh(0.5 * pi() * z) - log_two_cosh(beta / width) - log2() - log1p(square(beta / scale));
  }

  /**
   * Log density of z for which bounded_t(z, nu, scale, width) is Student-t(nu, 0, scale).
   *
   * The derivative with respect to z is scale sqrt(nu) r cosh(r z) / cosh(beta / width), with r = t_rate(nu). Without
   * a width the density of z is proportional to cosh(r z)^-nu.
   *
   * @param beta bounded_t(z, nu, scale, width)
   */
  real bounded_t_log_density(real z, real beta, real nu, real scale, data real width) {
    real rate = t_rate(nu);
    if (width == 0) {
      return lgamma(0.5 * (nu + 1)) - lgamma(0.5 * nu) - 0.5 * log(pi()) + log(rate) - nu * log_cosh(rate * z);
    }
    return student_t_lpdf(beta | nu, 0, scale) + log(scale * sqrt(nu) * rate) + log_cosh(rate * z)
           - log_cosh(beta / width);
  }

  /**
   * Log of the derivative of bounded_cauchy with respect to z.
   *
   * @param beta bounded_cauchy(z, scale, width)
   */
  real bounded_cauchy_log_slope(real z, real beta, real scale, data real width) {
    real bend = width == 0 ? 0 : log_cosh(beta / width);
    return log(0.5 * pi() * scale) + log_cosh(0.5 * pi() * z) - bend;
  }

  /**
   * Variance of a non-centered log dispersion, or log standard deviation of random effects, given the counts, with a
   * normal approximation of the likelihood.
   *
   * @param precision of the normal approximation
   * @param spread scale of the log dispersions around the trend, or of the log standard deviations
   */
  real partial_variance(data real precision, real spread) {
    return inv(precision + inv_square(spread));
  }

  /**
   * Compute one gene's parameters from the sampled z.
   *
   * theta = location + scale e, where e_i = z_i except for a non-centered coefficient k, for which
   * beta_k = bounded_cauchy(z_k, S_k, width_k), or bounded_t(z_k, nu_k, S_k, width_k) where its prior is Student-t, and
   * e_k is the value that makes theta_k equal to it.
   * A non-centered log dispersion, or log standard deviation of random effects, has the conditional posterior that its
   * prior and a normal approximation of the likelihood give: with v = 1 / (precision + 1 / spread^2) it is
   * v (precision_times_mean + center / spread^2) + sqrt(v) z; with precision 0, center + spread z.
   * scale is upper triangular, so e is solved for from the last element to the first.
   *
   * @param z sampled values, on the scale of location and scale
   * @param location center, natural log
   * @param scale upper triangular
   * @param noncentered 1 where the coefficient, or what comes after the coefficients, is non-centered
   * @param width of non-centered coefficients, see bounded_sinh
   * @param precision of the normal approximations, for what is non-centered after the coefficients
   * @param precision_times_mean precision of these approximations times their means
   * @param effects 1 where the prior of a coefficient is Student-t
   * @param effect_nu degrees of freedom of these priors; may be empty if there are none
   * @param effect_scale scale of the prior of every coefficient, natural log; of a mixture, see mixture_scale_at
   * @param center of the priors of what comes after the coefficients: of the log standard deviations of random effects,
   *   and natural log of the dispersion trend at this gene
   * @param spread their scales
   * @return theta = (beta, log standard deviations of random effects, log_dispersion), natural log
   */
  vector gene_effects(vector z, data vector location, data matrix scale, data array[] int noncentered,
                      data vector width, data vector precision, data vector precision_times_mean,
                      data array[] int effects, vector effect_nu, vector effect_scale, vector center,
                      vector spread) {
    if (sum(noncentered) == 0) {
      return location + scale * z;
    }
    int D = rows(z);
    int P = size(effects);
    vector[D] e = z;
    vector[D] theta;
    for (i in 1 : D) {
      int k = D + 1 - i;
      real rest = location[k];
      for (m in (k + 1) : D) {
        rest += scale[k, m] * e[m];
      }
      if (noncentered[k]) {
        if (k <= P) {
          theta[k] = effects[k] == 1 ? bounded_t(z[k], effect_nu[k], effect_scale[k], width[k])
                                     : bounded_cauchy(z[k], effect_scale[k], width[k]);
        } else {
          int r = k - P;
          real v = partial_variance(precision[r], spread[r]);
          theta[k] = v * (precision_times_mean[r] + center[r] * inv_square(spread[r])) + sqrt(v) * z[k];
        }
        e[k] = (theta[k] - rest) / scale[k, k];
      } else {
        theta[k] = rest + scale[k, k] * z[k];
      }
    }
    return theta;
  }
