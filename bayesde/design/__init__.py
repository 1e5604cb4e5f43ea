"""What is estimated: the model matrix of a formula, and contrasts.

``model``, ``formula`` and ``rank`` make and check a matrix, ``new_samples`` rows of other samples.
"""

from bayesde.design.contrast import Contrast
from bayesde.design.model import Design

__all__ = ["Contrast", "Design"]
