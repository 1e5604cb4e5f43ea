  int<lower=0, upper=1> residuals;  // of log dispersions around the trend; 0: Normal, 1: Student-t
  int<lower=0, upper=1> use_likelihood;  // 0: draw from the prior, 1: draw from the posterior
