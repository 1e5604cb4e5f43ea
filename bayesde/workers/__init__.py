"""Where blocks of genes are computed: here, or by the workers of a cluster; and how progress is reported."""
