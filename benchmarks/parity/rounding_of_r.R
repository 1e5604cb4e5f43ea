# Rscript rounding_of_r.R SHARED OUT.tsv: how far is DESeq2 from DESeq2? Its MAP dispersions again, six times, after
# every mean was changed by at most one unit in its last place (2^-52): genes that land beyond 1e-6 of its own answer.
a <- commandArgs(TRUE); out <- file.path(normalizePath(dirname(a[2])), basename(a[2]))
suppressWarnings(suppressMessages(library(DESeq2)))
setwd(file.path(a[1], "ref")); source("common.R")
RUNS <- 6; rows <- list()
for (name in c("pasilla", "airway", "pasilla_type", "gse60450", "sim20k_pairs", "yoruba")) {
  x <- rd(name)
  dds <- estimateSizeFactors(DESeqDataSetFromMatrix(x$counts, x$coldata, x$design))
  dds <- estimateDispersionsFit(estimateDispersionsGeneEst(dds, quiet = TRUE), quiet = TRUE)
  prior_var <- estimateDispersionsPriorVar(dds)
  dds <- dds[!mcols(dds)$allZero, ]
  own <- mcols(dds)$dispGeneEst; trend <- mcols(dds)$dispFit; mu <- assays(dds)[["mu"]]
  search <- function(mu) DESeq2:::fitDispWrapper(
    ySEXP = counts(dds), xSEXP = model.matrix(x$design, x$coldata), mu_hatSEXP = mu,
    log_alphaSEXP = log(ifelse(own > 0.1 * trend, own, trend)), log_alpha_prior_meanSEXP = log(trend),
    log_alpha_prior_sigmasqSEXP = prior_var, min_log_alphaSEXP = log(1e-9), kappa_0SEXP = 1, tolSEXP = 1e-6,
    maxitSEXP = 100, usePriorSEXP = TRUE, weightsSEXP = matrix(1, nrow(dds), ncol(dds)), useWeightsSEXP = FALSE,
    weightThresholdSEXP = 1e-2, useCRSEXP = TRUE)
  first <- search(mu); moved <- integer(nrow(dds)); furthest <- numeric(nrow(dds)); set.seed(1)
  for (run in seq_len(RUNS)) {
    again <- search(mu * (1 + sample(c(-1, 0, 1), length(mu), TRUE) * 2^-52))
    far <- ifelse(first$iter < 100 & again$iter < 100, abs(expm1(again$log_alpha - first$log_alpha)), 0)
    moved <- moved + (far > 1e-6); furthest <- pmax(furthest, far)
  }
  some <- moved > 0
  rows[[name]] <- data.frame(set = rep(name, sum(some)), gene = rownames(dds)[some], runs_moved = moved[some],
                             furthest = sprintf("%.2g", furthest[some]))
}
write.table(do.call(rbind, rows), out, sep = "\t", quote = FALSE, row.names = FALSE)
