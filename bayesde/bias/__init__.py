r"""Sequence-specific bias of read starts, from alignments to effective lengths.

Random priming and ligation prefer some sequences, so that reads do not start evenly along a transcript. The
bias of a place i is the ratio of two distributions of the bases around it,

    bias(i) = p_f(s_{i-w}, ..., s_{i+w}) / p_b(s_{i-w}, ..., s_{i+w})

p_f that of read starts, p_b that of the same starts shifted at random (Hansen, Brenner and Dudoit 2010,
doi:10.1093/nar/gkq224; Roberts, Trapnell, Donaghey, Rinn and Pachter 2011, doi:10.1186/gb-2011-12-3-r22;
Jones, Ruzzo, Peng and Katze 2012, doi:10.1093/bioinformatics/bts055; Zhang, Wang, Wan and Zheng 2017,
doi:10.1186/s12864-016-3262-5). Counts are not changed: the sum of the bias over a gene is its effective
length, which enters the model of the counts as an offset.

    bias = bde.bias.fit(["a.bam", "b.bam"], "genome.fa", "genes.gtf")
    counts = bde.read_tximport(counts=bias.counts, lengths=bias.average_lengths, samples="samples.tsv")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayesde.bias.fitting import BiasFit, fit
    from bayesde.bias.options import BiasOptions
    from bayesde.bias.outputs import write, write_tracks
    from bayesde.bias.pictures import base_frequency_plot, divergence_plot, gene_coverage_plot

__all__ = [
    "BiasFit",
    "BiasOptions",
    "base_frequency_plot",
    "divergence_plot",
    "fit",
    "gene_coverage_plot",
    "write",
    "write_tracks",
]

_HOME_OF = {
    "BiasFit": "fitting",
    "BiasOptions": "options",
    "base_frequency_plot": "pictures",
    "divergence_plot": "pictures",
    "fit": "fitting",
    "gene_coverage_plot": "pictures",
    "write": "outputs",
    "write_tracks": "outputs",
}


def __getattr__(name: str) -> object:
    """Import a name on first use: the command line reads `options` without loading pandas."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'bayesde.bias' has no attribute {name!r}")
    value = getattr(import_module(f"bayesde.bias.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
