"""The Stan runtime: find, install or build CmdStan, and compile programs with it.

Everything that samples uses cmdstanpy; this package provides the CmdStan for it. cmdstanpy itself is
imported only when a function needs it, so importing this package is fast.
"""

from bayesde.stan_runtime.cache import cache_dir
from bayesde.stan_runtime.compile import compiled_model, stan_source_dir
from bayesde.stan_runtime.doctor import DoctorReport, doctor
from bayesde.stan_runtime.install import ensure_cmdstan, install_stan
from bayesde.stan_runtime.locate import CmdStanHome

__all__ = [
    "CmdStanHome",
    "DoctorReport",
    "cache_dir",
    "compiled_model",
    "doctor",
    "ensure_cmdstan",
    "install_stan",
    "stan_source_dir",
]
