"""Pictures of a run's samples: principal components, distances, library sizes; and how to make a picture."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bayesde.errors import BayesdeError
from bayesde.explore import sample_distances, sample_pca
from bayesde.plots import library_size_plot, pca_plot, sample_distance_plot
from bayesde.runs.reports.experiment import RunExperiment
from bayesde.runs.reports.page import picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["drawn", "sample_pictures"]

MOST_SAMPLES = 100
"""Beyond, a heatmap of distances cannot be read, and is left out."""
CAPTIONS = {
    "pca": "Principal components of the samples, from the 500 genes that vary most (variance-stabilized "
    "counts). Samples of a group should lie together; if another variable separates them, it belongs into "
    "the design.",
    "distances": "Distances between samples (variance-stabilized counts), clustered. A sample far from its "
    "group may have failed, or been swapped.",
    "sizes": "Total counts of the samples.",
}


def drawn(draw: Callable[[Axes], Any], size: tuple[float, float] = (8.0, 4.2)) -> bytes:
    """Draw a picture.

    Parameters
    ----------
    draw : callable
        Given the axes to draw on.
    size : (float, float)
        Width and height, inches.

    Returns
    -------
    bytes
        PNG.
    """
    from matplotlib.figure import Figure  # slow to load

    figure = Figure(figsize=size, layout="constrained")
    draw(figure.add_subplot())
    stream = io.BytesIO()
    figure.savefig(stream, dpi=110, format="png")
    return stream.getvalue()


def sample_pictures(experiment: RunExperiment) -> str:
    """Draw the samples.

    Parameters
    ----------
    experiment : RunExperiment

    Returns
    -------
    str
        HTML; what cannot be drawn, as with two samples, is left out.
    """
    counts, by = experiment.inputs.counts, experiment.variable
    height = min(2.0 + 0.22 * counts.n_samples, 12.0)
    pictures: dict[str, Callable[[], bytes]] = {
        "pca": lambda: drawn(_with(pca_plot, sample_pca(counts), by)),
        "distances": lambda: drawn(_with(sample_distance_plot, sample_distances(counts), by), (8.0, 5.5)),
        "sizes": lambda: drawn(_with(library_size_plot, counts, by), (8.0, height)),
    }
    if counts.n_samples > MOST_SAMPLES:
        del pictures["distances"]
    shown = []
    for name, draw in pictures.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                shown.append(picture(draw(), CAPTIONS[name]))
        except (BayesdeError, ValueError, FloatingPointError):
            continue
    return "\n".join(shown)


def _with(plot: Callable[..., Any], values: Any, by: str | None) -> Callable[[Axes], Any]:
    return lambda ax: plot(values, by=by, ax=ax)
