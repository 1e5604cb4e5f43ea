  // theta_g = location_g + scale_g * z_g, with theta_g = (beta_g, log_dispersion_g): the sampler moves z.
  // Priors are densities of theta, and the map is data: no Jacobian. Any location and any invertible scale give
  // the same posterior; the mode, and scale * scale' = inverse Hessian there, make it nearly round.
  // See gene_effects for coefficients that are noncentered.
  array[G] vector[P + 1] location;  // natural log
  array[G] matrix[P + 1, P + 1] scale;  // upper triangular, natural log
  // 0: moves with z; 1: a coefficient (shrunken only) is S_k times a Cauchy number, the log dispersion (last) is
  // log_trend + dispersion_sd z
  array[G, P + 1] int<lower=0, upper=1> noncentered;
