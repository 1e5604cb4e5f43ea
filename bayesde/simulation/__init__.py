r"""Simulation of counts with known effects from the model that the fits assume.

    K_gj ~ NB(mean = s_j exp(x_j . beta_g), dispersion = alpha_g)
    beta_gk ~ Cauchy(0, S_k), or another distribution, or exactly 0 for a share of the genes
    ln alpha_g ~ Normal or Student-t(nu) around ln(a0 + a1 / m_g), scale sigma
    m_g = mean over samples of exp(x_j . beta_g)

(Love, Huber and Anders 2014, doi:10.1186/s13059-014-0550-8; Zhu, Ibrahim and Love 2018,
doi:10.1093/bioinformatics/bty895, for the Cauchy). The base mean m_g is drawn, or given, before the effects,
and the intercept of the gene follows from both: ``base_mean`` of a fit estimates m_g whatever the effects
are. A negative binomial count is drawn as a Poisson count whose rate is Gamma distributed with mean mu and
variance alpha mu^2.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayesde.simulation.draw import simulate
    from bayesde.simulation.experiment import FILES, Simulation
    from bayesde.simulation.options import SimulationOptions

__all__ = ["FILES", "Simulation", "SimulationOptions", "simulate"]

_HOME_OF = {
    "FILES": "experiment",
    "Simulation": "experiment",
    "SimulationOptions": "options",
    "simulate": "draw",
}


def __getattr__(name: str) -> object:
    """Import a name on first use: the command line reads `options` without loading pandas."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'bayesde.simulation' has no attribute {name!r}")
    return getattr(import_module(f"bayesde.simulation.{_HOME_OF[name]}"), name)
