"""Time and memory of bayesde and of other tools from pip and R."""
