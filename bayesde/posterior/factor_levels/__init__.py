"""Draws of the effects of a large factor's levels, and of a random intercept's."""
