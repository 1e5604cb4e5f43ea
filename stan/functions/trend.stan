  /**
   * Natural log of the dispersion trend.
   *
   * @param base_mean mean normalized count of each gene
   * @param log_asymptotic_dispersion natural log of a0
   * @param log_extra_poisson empty: constant trend a0; one element, log(a1): parametric trend a0 + a1 / base_mean
   * @return log of the trend at each gene
   */
  vector log_trend_at(data vector base_mean, real log_asymptotic_dispersion, vector log_extra_poisson) {
    if (size(log_extra_poisson) == 0) {
      return rep_vector(log_asymptotic_dispersion, size(base_mean));
    }
    return log(exp(log_asymptotic_dispersion) + exp(log_extra_poisson[1]) * inv(base_mean));
  }
