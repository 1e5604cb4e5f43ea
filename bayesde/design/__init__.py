"""The model matrix of a formula, and contrasts.

``matrix``, ``formula`` and ``rank`` make and check a matrix, ``model`` has the class `Design` that users see,
``new_samples`` makes rows for other samples.
"""

from bayesde.design.contrast import Contrast
from bayesde.design.model import Design

__all__ = ["Contrast", "Design"]
