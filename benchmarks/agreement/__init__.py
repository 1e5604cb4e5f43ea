"""Do the three engines give the same posterior? On real counts, in units of the Monte-Carlo error."""
