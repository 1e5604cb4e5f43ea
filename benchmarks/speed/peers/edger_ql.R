# edgeR: filterByExpr, TMM, dispersions, quasi-likelihood fit and test.
suppressPackageStartupMessages(library(edgeR))
source(file.path(dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE))), "protocol.R"))

run <- function(data, clock) {
  clock("fit", {
    design <- model.matrix(data$design, data$samples)
    y <- DGEList(data$counts)
    y <- calcNormFactors(y[filterByExpr(y, design), , keep.lib.sizes = FALSE])
    y <- estimateDisp(y, design)
    fit <- glmQLFit(y, design)
  })
  clock("results", table <- topTags(glmQLFTest(fit, coef = ncol(design)), n = Inf, sort.by = "none")$table)
  data.frame(row.names = rownames(table), log2_fold_change = table$logFC, p_value = table$PValue)
}

serve("edgeR", run)
