  array[G] vector[N] counts;  // y as reals
  array[G] vector[N] log_y;  // natural log, 0 for a zero count
  vector[G] saturated;  // the part of the log likelihood that depends on the counts alone
  for (g in 1 : G) {
    counts[g] = to_vector(y[g]);
    log_y[g] = log_counts(y[g]);
    saturated[g] = nb_saturated(y[g]);
    for (k in 1 : P) {
      if (noncentered[g, k] && !shrunken[k]) {
        reject("noncentered coefficient ", k, " of gene ", g, " is not shrunken");
      }
    }
  }
