# R's answers for options of the empirical-Bayes fit: Rscript eb_options.R COUNTS COLDATA OUT
# (pasilla's counts and sample table as tab-separated text; DESeq2 1.38.3, R 4.2.2). Writes OUT/eb_options.tsv.gz.
suppressMessages(library(DESeq2))
arguments <- commandArgs(trailingOnly = TRUE)
counts <- as.matrix(read.table(gzfile(arguments[1]), header = TRUE, row.names = 1, sep = "\t", check.names = FALSE))
samples <- read.table(arguments[2], header = TRUE, row.names = 1, sep = "\t")[colnames(counts), , drop = FALSE]
samples$condition <- relevel(factor(samples$condition), "untreated")
samples$type <- factor(samples$type)
counts <- counts[rowSums(counts) > 40, ][seq(1, 8000, by = 20), ]

# A pattern that anybody can make again: weights from 0 to 2.2, some of them next to nothing.
pattern <- outer(seq_len(nrow(counts)) * 7, seq_len(ncol(counts)) * 13, "+") %% 23
weights <- ifelse(pattern == 1, 0.004, pattern / 10)
dimnames(weights) <- dimnames(counts)

fitted <- function(kind, design, weighted = FALSE, trend = NULL, ...) {
    data <- DESeqDataSetFromMatrix(counts, samples, design)
    if (weighted) assays(data)[["weights"]] <- weights
    if (!is.null(trend)) {
        data <- estimateDispersionsGeneEst(estimateSizeFactors(data), quiet = TRUE)
        dispersionFunction(data) <- trend
        data <- nbinomWaldTest(estimateDispersionsMAP(data, quiet = TRUE), quiet = TRUE)
    } else {
        data <- DESeq(data, quiet = TRUE, ...)
    }
    columns <- c("baseMean", "dispGeneEst", "dispersion", "maxCooks")
    answers <- as.data.frame(results(data))[c("log2FoldChange", "lfcSE", "stat", "pvalue", "padj")]
    cbind(kind = kind, gene = rownames(counts), as.data.frame(mcols(data))[columns], answers)
}
table <- rbind(
    fitted("weights", ~type + condition, weighted = TRUE),
    fitted("weights_one_factor", ~condition, weighted = TRUE),
    fitted("use_t", ~type + condition, useT = TRUE),
    fitted("min_mu", ~type + condition, minmu = 5),
    fitted("given_trend", ~type + condition, trend = function(mean) 0.05 + 2 / mean)
)
output <- gzfile(file.path(arguments[3], "eb_options.tsv.gz"))
write.table(format(table, digits = 17, trim = TRUE), output, sep = "\t", quote = FALSE, row.names = FALSE)
