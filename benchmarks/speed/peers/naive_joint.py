"""The plain Stan program naive_joint.stan through cmdstanpy with its defaults, but for the iterations."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from panel_data import Panel, hyperparameter_table, panel, quiet
from worker import Clock, Data

from bayesde.stan_runtime import compiled_model

PACKAGE = "cmdstanpy"
CHAINS, CORES = 4, 2
LARGEST_DEPTH = 10
PROGRAM = Path(__file__).with_suffix(".stan")
SHARED = ("dispersion_sd", "asymptotic_dispersion", "extra_poisson")


def prepare(data: Data, size: str, warmup: str, draws: str) -> tuple[Panel, int, int]:
    """Choose the panel, and compile."""
    quiet()
    compiled_model(PROGRAM)
    return panel(data, int(size)), int(warmup), int(draws)


def _data(some: Panel) -> dict[str, object]:
    return {
        "G": some.counts.n_genes,
        "N": some.counts.n_samples,
        "P": len(some.fit.design.coefficients),
        "y": np.asarray(some.counts.matrix, dtype=int).tolist(),
        "x": some.fit.design.matrix.tolist(),
        "log_size_factor": np.log(some.fit.size_factors).tolist(),
        "base_mean": some.fit.base_mean.tolist(),
    }


def run(prepared: tuple[Panel, int, int], clock: Clock) -> pd.DataFrame:
    """Sample from Stan's own random starts."""
    some, warmup, draws = prepared
    with tempfile.TemporaryDirectory() as folder, clock("sample"):
        fit = compiled_model(PROGRAM).sample(
            data=_data(some),
            chains=CHAINS,
            parallel_chains=CORES,
            seed=1,
            iter_warmup=warmup,
            iter_sampling=draws,
            output_dir=folder,
            show_progress=False,
        )
        methods = fit.method_variables()
        shared = {
            f"shrinkage_scale[{name}]": fit.stan_variable("shrinkage_scale")[:, k]
            for k, name in enumerate(some.fit.design.coefficients[1:])
        }
        shared |= {name: fit.stan_variable(name) for name in SHARED}
    told = {
        "divergences": int(methods["divergent__"].sum()),
        "treedepth_hits": int((methods["treedepth__"] >= LARGEST_DEPTH).sum()),
        "gradients": float(methods["n_leapfrog__"].mean()),
    }
    table = hyperparameter_table({name: flat.reshape(CHAINS, draws) for name, flat in shared.items()})
    return table.assign(**told, chains=CHAINS, warmup=warmup, draws=draws)
