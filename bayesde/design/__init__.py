"""The model matrix of a formula, and contrasts.

``matrix``, ``formula`` and ``rank`` make and check a matrix, ``model`` has the class `Design` that users see,
``new_samples`` makes rows for other samples, ``random_effects`` reads random effects. ``codings`` has what a
posterior is sampled in: ``level_coding`` treats the levels of a factor alike, and ``reference_coding`` has
other reference levels.
"""

from bayesde.design.codings.coding import Coding
from bayesde.design.contrast import Contrast
from bayesde.design.model import Design

__all__ = ["Coding", "Contrast", "Design"]
