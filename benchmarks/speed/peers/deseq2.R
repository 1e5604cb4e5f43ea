# DESeq2: DESeq(), results() and lfcShrink(), by apeglm or, where that is not installed, by DESeq2's own normal
# prior, whose effects are not compared with apeglm's. A third argument asks for 2 processes.
suppressPackageStartupMessages(library(DESeq2))
source(file.path(dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE))), "protocol.R"))

type <- if (requireNamespace("apeglm", quietly = TRUE)) "apeglm" else "normal"
processes <- c(as.integer(commandArgs(trailingOnly = TRUE)[-(1:2)]), 1L)[1]

run <- function(data, clock) {
  clock("fit", {
    fit <- DESeqDataSetFromMatrix(data$counts, data$samples, data$design)
    fit <- DESeq(fit, quiet = TRUE, parallel = processes > 1, BPPARAM = BiocParallel::MulticoreParam(processes))
  })
  clock("results", tested <- results(fit, contrast = c(data$factor, data$level, data$reference)))
  answer <- data.frame(row.names = rownames(tested), log2_fold_change = tested$log2FoldChange,
                       p_value = tested$pvalue)
  coefficient <- paste(data$factor, data$level, "vs", data$reference, sep = "_")
  clock("shrink", shrunken <- lfcShrink(fit, coef = coefficient, type = type, quiet = TRUE))
  if (type == "apeglm") answer$shrunken <- shrunken$log2FoldChange
  answer
}

serve("DESeq2", run, if (type == "apeglm") "" else "apeglm is not installed: shrunken by the normal prior of 2014")
