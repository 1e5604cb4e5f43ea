  /*
   * The negative binomial distribution, accurate for dispersions from 1e-8 to 1e3 and counts up to 1e7.
   *
   * With r = 1 / dispersion the log probability of a count y is a sum of large terms that nearly cancel
   * (lgamma(y + r), lgamma(r), y log(mu), ...): a relative error of 1e-16 in terms of size (y + r) log(y + r).
   * Stan's own GLM density adds these terms directly, and is fast (one node of the autodiff graph for a gene).
   * It is used while y and r stay below nb_direct_limit(), where that error is under 1e-9; beyond, nb_saddle_point
   * cancels the large terms analytically and takes about twice the time. r appears in this file only.
   */

  /**
   * Largest count, and largest 1 / dispersion, for which Stan's own density is used.
   */
  real nb_direct_limit() {
    return 1e5;
  }

  /**
   * The error of Stirling's formula.
   *
   * @param z positive number
   * @return lgamma(z) - ((z - 1/2) log(z) - z + log(2 pi) / 2)
   */
  real stirling_error(real z) {
    if (z < 10) {
      return lgamma(z) - (z - 0.5) * log(z) + z - 0.918938533204672742;  // log(2 pi) / 2
    }
    real w = inv_square(z);  // asymptotic series; its first omitted term is below 2e-14 from z = 10 on
    return (inv(12) - w * (inv(360) - w * (inv(1260) - w * (inv(1680) - w * inv(1188))))) / z;
  }

  /**
   * The part of the log probability that depends on the counts alone.
   *
   * @param y counts of one gene
   * @return sum of -log(2 pi y) / 2 - stirling_error(y) over the positive counts
   */
  real nb_saturated(array[] int y) {
    real total = 0;
    for (n in 1 : size(y)) {
      if (y[n] > 0) {
        total -= 0.5 * log(2 * pi() * y[n]) + stirling_error(y[n]);
      }
    }
    return total;
  }

  /**
   * Logarithms of counts, with 0 in place of log(0): they are only ever multiplied by the count.
   */
  vector log_counts(array[] int y) {
    vector[size(y)] result = rep_vector(0, size(y));
    for (n in 1 : size(y)) {
      if (y[n] > 0) {
        result[n] = log(y[n]);
      }
    }
    return result;
  }

  /**
   * Logs of ratios, to full precision both near 0 and for ratios far from 1.
   *
   * @param above numerators
   * @param below denominators
   * @param gap their differences, which the caller may know more accurately than above - below
   * @return log(above / below)
   */
  vector log_ratio_of(vector above, vector below, vector gap) {
    vector[rows(gap)] u = gap ./ below;
    if (min(u) > -0.5) {
      return log1p(u);
    }
    vector[rows(gap)] result;
    for (n in 1 : rows(gap)) {
      result[n] = u[n] > -0.5 ? log1p(u[n]) : log(above[n] / below[n]);
    }
    return result;
  }

  /**
   * Log probability of the counts of one gene without cancellation: Loader's saddle-point form (2000).
   *
   * @param y counts, as reals
   * @param log_y log_counts(y)
   * @param saturated nb_saturated(y)
   * @param log_mu natural log of the expected counts
   * @param log_dispersion natural log of the dispersion: variance = mu + dispersion mu^2
   * @return sum over samples of log NB(y | mu, dispersion), all constants included
   */
  real nb_saddle_point(vector y, vector log_y, real saturated, vector log_mu, real log_dispersion) {
    real r = exp(-log_dispersion);
    vector[rows(y)] mu = exp(log_mu);
    vector[rows(y)] y_plus_r = y + r;
    real stirling_r = stirling_error(r);
    real total = saturated;
    for (n in 1 : rows(y)) {
      if (y[n] > 0) {
        total += stirling_error(y_plus_r[n]) - stirling_r;
      }
    }
    return total + dot_product(y, log_mu - log_y) - 0.5 * sum(log1p(y / r))
           + dot_product(y_plus_r, log_ratio_of(y_plus_r, r + mu, y - mu));
  }

  /**
   * Log probability of the counts of one gene.
   *
   * @param counts counts
   * @param y counts, as reals
   * @param log_y log_counts(counts)
   * @param saturated nb_saturated(counts)
   * @param x design matrix
   * @param log_nf natural log of the normalization factors
   * @param beta coefficients, natural log
   * @param log_dispersion natural log of the dispersion: variance = mu + dispersion mu^2
   * @return sum over samples of log NB(y | mu, dispersion), all constants included
   */
  real nb_gene(data array[] int counts, data vector y, data vector log_y, data real saturated, data matrix x,
               data vector log_nf, vector beta, real log_dispersion) {
    if (max(counts) < nb_direct_limit() && log_dispersion > -log(nb_direct_limit())) {
      return neg_binomial_2_log_glm_lpmf(counts | x, log_nf, beta, exp(-log_dispersion));
    }
    return nb_saddle_point(y, log_y, saturated, log_nf + x * beta, log_dispersion);
  }
