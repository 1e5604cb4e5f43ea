"""Numerical building blocks that do not depend on the processor: elementary functions, small matrices.

NumPy selects vector instructions, and a BLAS its kernels, by processor, so that results differ in their last
digits between processors. What the numbers in tables depend on is computed here instead: element by element,
with sums in a fixed order.
"""
