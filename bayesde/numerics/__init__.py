"""Numerical building blocks that do not depend on the processor: elementary functions, small matrices.

NumPy picks its vector instructions, and a BLAS its kernels, by the processor they run on, and results differ
in the last digits between them. Whatever lies on the way from counts to tables is computed here instead: one
element after the other, with sums in a fixed order.
"""
