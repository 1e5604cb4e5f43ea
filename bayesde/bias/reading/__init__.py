"""Reading alignments, annotation and genome, and putting them together."""
