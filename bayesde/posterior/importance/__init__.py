"""Engine psis: every gene's posterior by importance sampling, the hyperparameters learnt and integrated over.

In the order of the data: each gene's ``proposal``, a ``mixture`` of ``components``, is drawn from and its
draws weighed by the counts (``counts_density``) and the priors (``prior_weights``); the same draws make the
``likelihood`` from which the hyperparameters (``space``) are learnt; weights are smoothed (``pareto``), and
proposals that do not serve adapted (``adapt``). ``engine`` runs them, ``resampling`` makes draws of
equal weight. ``elementary`` and ``excess`` have the functions that the kernels spend their time in.
"""
