  int D = P + R + 1;  // parameters of a gene: coefficients, log standard deviations of random effects, log dispersion
  matrix[N, P + L] x_all = append_col(x, rep_matrix(0, N, L));  // with columns for the levels of random effects
  array[L] int random_of;  // which random effect a level is of
  array[G] vector[R + 1] residual_precision;  // for the parameters after the coefficients
  array[G] vector[R + 1] residual_precision_times_mean;
  if (sum(n_levels) != L) {
    reject("L must be the sum of n_levels");
  }
  for (r in 1 : R) {
    int before = sum(n_levels[1 : (r - 1)]);
    for (n in 1 : N) {
      if (level[r, n] > n_levels[r]) {
        reject("sample ", n, " has a level of random effect ", r, " above n_levels");
      }
      x_all[n, P + before + level[r, n]] = covariate[r, n];
    }
    random_of[(before + 1) : (before + n_levels[r])] = rep_array(r, n_levels[r]);
  }
  for (g in 1 : G) {
    residual_precision[g, R + 1] = precision[g];
    residual_precision_times_mean[g, R + 1] = precision_times_mean[g];
    if (R > 0) {
      residual_precision[g, 1 : R] = random_sd_precision[g];
      residual_precision_times_mean[g, 1 : R] = random_sd_precision_times_mean[g];
    }
  }
