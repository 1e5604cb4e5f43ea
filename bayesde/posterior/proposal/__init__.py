"""Each gene's proposal distribution for importance sampling."""
