"""What is seen of a run while it works: its progress, its status from outside, and how it is interrupted."""
