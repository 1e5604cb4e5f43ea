"""The model matrix of a formula, and contrasts.

``matrix``, ``formula`` and ``rank`` make and check a matrix, ``model`` has the class `Design` that users see,
``new_samples`` makes rows for other samples. ``coding`` has what a posterior is sampled in, and
``level_coding`` that which treats the levels of a factor alike.
"""

from bayesde.design.coding import Coding
from bayesde.design.contrast import Contrast
from bayesde.design.model import Design

__all__ = ["Coding", "Contrast", "Design"]
