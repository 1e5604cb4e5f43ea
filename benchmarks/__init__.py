"""Measurements of speed, calibration, accuracy and agreement with R; README.md explains how to run them."""
