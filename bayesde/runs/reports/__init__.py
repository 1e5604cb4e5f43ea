"""Results in words: the headline of a table, descriptions of its columns, and the HTML report of a run."""
