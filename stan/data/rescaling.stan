  // theta_g = location_g + scale_g * z_g: z is sampled. theta_g are the coefficients, the log standard deviations of the
  // random effects, and the log dispersion.
  // Priors are densities of theta, and the transformation is data: no Jacobian is needed. Any location and any
  // invertible scale give the same posterior; with the mode, and scale * scale' = inverse Hessian at the mode, z is
  // nearly standard normal.
  // See gene_effects for non-centered coefficients.
  array[G] vector[P + R + 1] location;  // natural log
  array[G] matrix[P + R + 1, P + R + 1] scale;  // upper triangular, natural log
  // 0: centered; 1: non-centered, that is, z is on the scale of the prior: for Cauchy(0, S_k) without a width, a
  // coefficient (shrunken only) is S_k sinh(pi z / 2), and the log dispersion (last) is log_trend + dispersion_sd z; the
  // log standard deviations of random effects likewise
  array[G, P + R + 1] int<lower=0, upper=1> noncentered;
  array[G] vector<lower=0>[P] width;  // of non-centered coefficients, see bounded_sinh; natural log, 0 for none
  // For non-centered log dispersions: a normal approximation of the likelihood, see gene_effects; both 0 for none.
  vector<lower=0>[G] precision;
  vector[G] precision_times_mean;
