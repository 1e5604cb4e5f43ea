"""Shrunken effects: apeglm, the normal prior of DESeq2, and ashr."""
