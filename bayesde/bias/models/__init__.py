"""Models of the bases around read starts."""
