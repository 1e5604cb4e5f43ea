# Rscript make_deseq2_answers.R SHARED OUT: answers of R 4.2.2 with DESeq2 1.38.3 that SHARED/ref does not have, all
# genes and 17 digits. What is kept beside this script are every hundredth gene of the t-tests, some hundred genes
# of the contrasts (among them ones without counts in the samples compared), and of the likelihood-ratio test the
# genes whose counts are replaced in it or in the Wald test.
a <- commandArgs(TRUE)
suppressWarnings(suppressMessages(library(DESeq2)))
out <- normalizePath(a[2]); setwd(file.path(a[1], "ref")); source("common.R")
digits <- function(v) { if (!is.numeric(v)) return(v); s <- sprintf("%.17g", v); s[is.na(v)] <- "NA"; s }
save_as <- function(columns, file) write.table(data.frame(lapply(columns, digits)), file.path(out, file),
                                               sep = "\t", quote = FALSE, row.names = FALSE)
read_set <- function(name) { x <- rd(name); x$dds <- DESeqDataSetFromMatrix(x$counts, x$coldata, x$design); x }

x <- read_set("pasilla_type")
with_t <- DESeq(x$dds, useT = TRUE, quiet = TRUE)
columns <- list(gene = rownames(with_t))
for (alternative in c("greaterAbs", "lessAbs", "greater", "less")) {
  r <- results(with_t, name = x$coef, lfcThreshold = 0.5, altHypothesis = alternative)
  columns[[paste0(alternative, "_stat")]] <- r$stat
  columns[[paste0(alternative, "_p")]] <- r$pvalue
}
r <- results(with_t, name = x$coef)
save_as(c(columns, list(t_stat = r$stat, t_p = r$pvalue)), "deseq2_t_tests.tsv")

contrasts_of <- function(name, wanted) {
  dds <- DESeq(read_set(name)$dds, quiet = TRUE)
  columns <- list(gene = rownames(dds))
  for (key in names(wanted)) {
    r <- results(dds, contrast = wanted[[key]])
    for (column in c("log2FoldChange", "lfcSE", "stat", "pvalue")) columns[[paste0(key, "_", column)]] <- r[[column]]
  }
  save_as(columns, paste0("deseq2_contrasts_", name, ".tsv"))
}
names_of <- function(levels) paste0("group_", levels, "_vs_basal.virgin")
contrasts_of("pasilla_type", list(condrev = c("condition", "untreated", "treated"), one_sign = c(0, 1, 1),
                                  mixed = c(0, 1, -1), cell = c(1, 1, 0)))
contrasts_of("gse60450", list(
  c32 = c("group", "basal.pregnant", "basal.lactate"), c15 = c("group", "basal.virgin", "luminal.pregnant"),
  one_sign = c(0, 1, 1, 0, 0, 0), mixed = c(0, -1, 0, 0, .5, .5),
  lst = list(names_of(c("basal.lactate", "basal.pregnant")), names_of(c("luminal.lactate", "luminal.pregnant")))))

dds <- DESeq(read_set("yoruba")$dds, test = "LRT", reduced = ~1, quiet = TRUE)
r <- results(dds)
save_as(list(gene = rownames(r), stat = r$stat, pvalue = r$pvalue, padj = r$padj, replace = mcols(dds)$replace),
        "deseq2_lrt_yoruba.tsv")

# Simulated pairs: two tissues of 24 patients. The counts are kept in the table of answers.
path <- file.path(out, "deseq2_pairs.tsv.gz")
if (file.exists(path)) {
  x <- read.delim(path, row.names = 1); y <- as.matrix(x[, grep("^s[0-9]+$", names(x))])
  j <- seq_len(ncol(y)) - 1
  d <- data.frame(patient = factor(j %/% 2), tissue = factor(j %% 2), row.names = colnames(y))
  dds <- DESeq(DESeqDataSetFromMatrix(y, d, ~ patient + tissue), quiet = TRUE); r <- results(dds)
  lrt <- results(DESeq(dds, test = "LRT", reduced = ~ patient, quiet = TRUE))
  columns <- c(list(gene = rownames(y)), as.data.frame(y), list(dispersion = dispersions(dds),
    log2FoldChange = r$log2FoldChange, lfcSE = r$lfcSE, pvalue = r$pvalue, padj = r$padj,
    lrt_stat = lrt$stat, lrt_p = lrt$pvalue))
  write.table(data.frame(lapply(columns, digits)), gzfile(path), sep = "\t", quote = FALSE, row.names = FALSE)
}
