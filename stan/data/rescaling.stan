  // theta_g = location_g + scale_g * z_g, with theta_g = (beta_g, log_dispersion_g): the sampler moves z.
  // Priors are densities of theta, and the map is data: no Jacobian. Any location and any invertible scale give
  // the same posterior; the mode, and scale * scale' = inverse Hessian there, make it nearly round.
  // See gene_effects for coefficients that are noncentered.
  array[G] vector[P + 1] location;  // natural log
  array[G] matrix[P + 1, P + 1] scale;  // upper triangular, natural log
  // 0: moves with z; 1: a coefficient (shrunken only) is S_k times a Cauchy number, the log dispersion (last) is
  // log_trend + dispersion_sd z
  array[G, P + 1] int<lower=0, upper=1> noncentered;
  array[G] vector<lower=0>[P] width;  // of noncentered coefficients, see bounded_cauchy; natural log, 0 for none
  // Of noncentered log dispersions, a normal density that the counts' is like, see gene_effects; both 0 for none.
  vector<lower=0>[G] precision;
  vector[G] pull;  // precision times mean
