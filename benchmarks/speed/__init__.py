"""Time and memory, beside the tools that pip and R have."""
