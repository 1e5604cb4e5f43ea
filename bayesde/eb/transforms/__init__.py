"""Transforms of counts for exploration: variance-stabilizing, and the regularized logarithm."""
