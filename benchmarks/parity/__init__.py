"""Point estimates beside those of DESeq2 and apeglm, gene by gene."""
