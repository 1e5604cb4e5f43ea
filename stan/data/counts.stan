  int<lower=1> G;  // genes
  int<lower=1> N;  // samples
  int<lower=1> P;  // coefficients
  array[G, N] int<lower=0> y;  // counts
  matrix[N, P] x;  // design matrix
  array[G] vector[N] log_nf;  // normalization factors (size factors where there are no others), natural log
