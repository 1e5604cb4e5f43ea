# limma-voom and edgeR (quasi-likelihood) of all genes: effects, standard errors and p-values.
# Arguments: counts.tsv (gene, one column a sample), samples.tsv (sample, treated, size_factor or NA,
# batch if there is one), answer.tsv.
suppressPackageStartupMessages({library(limma); library(edgeR)})
files <- commandArgs(trailingOnly = TRUE)
counts <- as.matrix(read.delim(files[1], row.names = 1, check.names = FALSE))
samples <- read.delim(files[2], row.names = 1)
design <- cbind(1, samples$treated)
if (!is.null(samples$batch)) design <- cbind(design, model.matrix(~ factor(samples$batch))[, -1])

y <- DGEList(counts)
if (anyNA(samples$size_factor)) {
  y <- calcNormFactors(y)
} else {  # effective library sizes in proportion to the size factors, as with DESeq2's
  y$samples$norm.factors <- samples$size_factor / y$samples$lib.size * exp(mean(log(y$samples$lib.size / samples$size_factor)))
}

fit <- eBayes(lmFit(voom(y, design), design))
answer <- data.frame(gene = rownames(counts), limma = fit$coefficients[, 2],
                     limma_se = sqrt(fit$s2.post) * fit$stdev.unscaled[, 2], limma_df = fit$df.total,
                     limma_p = fit$p.value[, 2])

y <- estimateDisp(y, design)
test <- glmQLFTest(glmQLFit(y, design), coef = 2)$table
answer$edger <- test$logFC
answer$edger_p <- test$PValue
write.table(format(answer, digits = 15, trim = TRUE), files[3], sep = "\t", quote = FALSE, row.names = FALSE)
cat(sprintf("limma %s, edgeR %s\n", packageVersion("limma"), packageVersion("edgeR")))
