"""What is estimated: the model matrix of a formula (``model``, ``formula``, ``rank``), rows of
``new_samples``, and contrasts."""

from bayesde.design.contrast import Contrast
from bayesde.design.model import Design

__all__ = ["Contrast", "Design"]
