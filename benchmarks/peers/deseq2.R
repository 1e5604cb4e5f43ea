# DESeq2: DESeq(), results() and, where apeglm is installed, lfcShrink(). A third argument asks for 2 processes.
suppressPackageStartupMessages(library(DESeq2))
source(file.path(dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE))), "protocol.R"))

shrinks <- requireNamespace("apeglm", quietly = TRUE)
processes <- c(as.integer(commandArgs(trailingOnly = TRUE)[-(1:2)]), 1L)[1]

run <- function(data, clock) {
  clock("fit", {
    fit <- DESeqDataSetFromMatrix(data$counts, data$samples, data$design)
    fit <- DESeq(fit, quiet = TRUE, parallel = processes > 1, BPPARAM = BiocParallel::MulticoreParam(processes))
  })
  clock("results", tested <- results(fit, contrast = c(data$factor, data$level, data$reference)))
  answer <- data.frame(row.names = rownames(tested), log2_fold_change = tested$log2FoldChange,
                       p_value = tested$pvalue)
  if (shrinks) {
    coefficient <- paste(data$factor, data$level, "vs", data$reference, sep = "_")
    clock("shrink", shrunken <- lfcShrink(fit, coef = coefficient, type = "apeglm", quiet = TRUE))
    answer$shrunken <- shrunken$log2FoldChange
  }
  answer
}

serve("DESeq2", run, if (shrinks) "" else "apeglm is not installed, so nothing was shrunk")
