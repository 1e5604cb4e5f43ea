"""Where blocks of genes are computed: in this process, or by the workers of a cluster."""
