  /**
   * Log density at 0 of a Student-t or normal distribution around 0.
   *
   * @param scale natural log
   * @param nu degrees of freedom; infinite for a normal distribution
   */
  real log_height(real scale, real nu) {
    return is_inf(nu) ? normal_lpdf(0 | 0, scale) : student_t_lpdf(0 | nu, 0, scale);
  }

  /**
   * Log density of a mixture of normal and Student-t distributions around 0.
   *
   * @param beta coefficient, natural log
   * @param components one row each: log of weight times density at 0, scale, degrees of freedom
   * @param first first row of this mixture
   * @param last last row
   */
  real mixture_log_density(real beta, data matrix components, data int first, data int last) {
    vector[last - first + 1] terms;
    for (c in first : last) {
      real square_ratio = square(beta / components[c, 2]);
      real nu = components[c, 3];
      terms[c - first + 1] = components[c, 1]
                             - (is_inf(nu) ? 0.5 * square_ratio : 0.5 * (nu + 1) * log1p(square_ratio / nu));
    }
    return log_sum_exp(terms);
  }

  /**
   * Scale of the Cauchy distribution whose density at 0 is that of a mixture: non-centered coefficients with this prior
   * are moved by bounded_cauchy with it, so that z changes evenly with the narrowest component that matters.
   */
  real mixture_scale_at(data matrix components, data int first, data int last) {
    return inv(pi() * exp(mixture_log_density(0, components, first, last)));
  }
