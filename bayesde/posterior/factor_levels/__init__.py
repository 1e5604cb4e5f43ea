"""Levels of a factor that are integrated out: the scale of their law, and draws of their effects."""
