# glmmTMB gene by gene, and limma's voom with duplicateCorrelation: effects, standard errors and p-values.
# Arguments: counts.tsv (gene, one column a sample), samples.tsv (sample, condition, donor, size_factor), answer.tsv.
suppressPackageStartupMessages({library(glmmTMB); library(limma)})
files <- commandArgs(trailingOnly = TRUE)
counts <- as.matrix(read.delim(files[1], row.names = 1, check.names = FALSE))
samples <- read.delim(files[2], row.names = 1)
size_factor <- samples$size_factor

start <- proc.time()
one <- function(y) {
  data <- data.frame(y, samples)
  fit <- tryCatch(
    suppressWarnings(glmmTMB(y ~ condition + (1 | donor) + offset(log(size_factor)), data, family = nbinom2)),
    error = function(e) NULL
  )
  if (is.null(fit)) return(rep(NA_real_, 4))
  found <- summary(fit)$coefficients$cond["conditionb", ]
  c(found[c(1, 2, 4)], attr(VarCorr(fit)$cond$donor, "stddev"))
}
mixed <- t(apply(counts, 1, one))
mixed_time <- (proc.time() - start)[1]

start <- proc.time()
design <- model.matrix(~ condition, samples)
size <- size_factor * exp(mean(log(colSums(counts) / size_factor)))
y <- voom(counts, design, lib.size = size)
same <- duplicateCorrelation(y, design, block = samples$donor)$consensus
y <- voom(counts, design, lib.size = size, block = samples$donor, correlation = same)
same <- duplicateCorrelation(y, design, block = samples$donor)$consensus
fit <- eBayes(lmFit(y, design, block = samples$donor, correlation = same))
voom_time <- (proc.time() - start)[1]

answer <- data.frame(
  gene = rownames(counts), glmmtmb = mixed[, 1] / log(2), glmmtmb_se = mixed[, 2] / log(2), glmmtmb_p = mixed[, 3],
  glmmtmb_sd = mixed[, 4] / log(2), voom = fit$coefficients[, 2],
  voom_se = sqrt(fit$s2.post) * fit$stdev.unscaled[, 2], voom_df = fit$df.total, voom_p = fit$p.value[, 2]
)
write.table(format(answer, digits = 15, trim = TRUE), files[3], sep = "\t", quote = FALSE, row.names = FALSE)
cat(sprintf("%.3f %.3f glmmTMB %s, limma %s\n", mixed_time, voom_time, packageVersion("glmmTMB"),
            packageVersion("limma")))
