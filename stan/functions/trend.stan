  /**
   * Natural log of the dispersion trend.
   *
   * @param base_mean mean normalized count of the gene
   * @param log_asymptotic_dispersion natural log of a0
   * @param log_extra_poisson empty: constant trend a0; one element, log(a1): parametric trend a0 + a1 / base_mean
   * @return log of the trend
   */
  real log_trend_at(data real base_mean, real log_asymptotic_dispersion, vector log_extra_poisson) {
    return size(log_extra_poisson) == 0
           ? log_asymptotic_dispersion
           : log_sum_exp(log_asymptotic_dispersion, log_extra_poisson[1] - log(base_mean));
  }
