# limma: filterByExpr, TMM, voom, lmFit, eBayes and topTable.
suppressPackageStartupMessages({library(limma); library(edgeR)})
source(file.path(dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE))), "protocol.R"))

run <- function(data, clock) {
  clock("fit", {
    design <- model.matrix(data$design, data$samples)
    y <- DGEList(data$counts)
    y <- calcNormFactors(y[filterByExpr(y, design), , keep.lib.sizes = FALSE])
    fit <- eBayes(lmFit(voom(y, design), design))
  })
  clock("results", table <- topTable(fit, coef = ncol(design), number = Inf, sort.by = "none"))
  data.frame(row.names = rownames(table), log2_fold_change = table$logFC, p_value = table$P.Value)
}

serve("limma", run)
