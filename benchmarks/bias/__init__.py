"""Models of the bias of read starts on real reads, and what their correction does to simulated counts."""
