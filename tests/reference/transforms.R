# Answers of R's DESeq2 (1.38.3) for tests/eb/test_transforms.py and tests/test_normalize.py, on pasilla.
# From the root of the repository:  Rscript tests/reference/transforms.R
# writes tests/reference/transforms.tsv.gz: one row a quantity and gene, 60 genes, 17 digits.
suppressMessages(library(DESeq2))
table <- function(name) read.delim(file.path("bayesde/datasets", name), row.names = 1, check.names = FALSE)
counts <- as.matrix(table("pasilla_counts.tsv.gz"))
samples <- table("pasilla_samples.tsv")
samples$condition <- factor(samples$condition, levels = c("untreated", "treated"))
fresh <- function() DESeqDataSetFromMatrix(counts, samples[colnames(counts), , drop = FALSE], ~condition)
plain <- estimateSizeFactors(fresh())

# Lengths that the tests can make again: whole numbers from row and column, counted from 1.
lengths <- outer(seq_len(nrow(counts)), seq_len(ncol(counts)),
                 function(i, j) 500 + (i * 37) %% 3001 + 13 * ((i + 7 * j) %% 29))
dimnames(lengths) <- dimnames(counts)
third <- seq(1, nrow(counts), 3)
with_lengths <- function(type) {
  dds <- fresh()
  assays(dds)[["avgTxLength"]] <- lengths
  estimateSizeFactors(dds, type = type)
}
measured <- with_lengths("ratio")
one_length <- plain
mcols(one_length)$basepairs <- lengths[, 1]

shown <- c(seq(1, nrow(counts), 250), which.max(rowSums(counts)))
rows <- list()
keep <- function(name, values) rows[[length(rows) + 1]] <<- data.frame(
  quantity = name, gene = rownames(counts)[shown], apply(values[shown, ], 2, sprintf, fmt = "%.17g"),
  check.names = FALSE)
keep_samples <- function(name, values) rows[[length(rows) + 1]] <<- data.frame(
  quantity = name, gene = "", t(setNames(sprintf("%.17g", values), colnames(counts))), check.names = FALSE)

whole <- function(...) assay(varianceStabilizingTransformation(...))
keep("vst parametric", whole(plain))
keep("vst local", whole(plain, fitType = "local"))
keep("vst mean", whole(plain, fitType = "mean"))
keep("vst parametric design", whole(plain, blind = FALSE))
keep("vst local lengths", whole(measured, fitType = "local"))
keep("vst 1000 parametric", assay(vst(plain)))
keep("vst 1000 parametric design", assay(vst(plain, blind = FALSE)))
keep("vst 1000 local", assay(vst(plain, fitType = "local")))
regularized <- rlog(plain)
keep("rlog", assay(regularized))
keep("rlog lengths", assay(rlog(measured)))
keep("rlog design", assay(rlog(plain, blind = FALSE)))
keep("norm_transform", assay(normTransform(plain)))
keep("fpkm", fpkm(one_length))
keep("fpkm plain", fpkm(one_length, robust = FALSE))
keep("fpkm lengths", fpkm(measured))
keep("fpkm lengths plain", fpkm(measured, robust = FALSE))
keep("factors lengths ratio", normalizationFactors(measured))
keep("factors lengths poscounts", normalizationFactors(with_lengths("poscounts")))
keep("factors matrix control", normalizationFactors(
  estimateSizeFactors(plain, normMatrix = lengths / 1000, controlGenes = third)))
keep_samples("size factors control", sizeFactors(estimateSizeFactors(plain, controlGenes = third)))
keep_samples("size factors mean", sizeFactors(estimateSizeFactors(plain, locfunc = mean)))
keep_samples("size factors iterate", sizeFactors(estimateSizeFactors(fresh(), type = "iterate")))
blind <- plain
design(blind) <- ~1
blind <- estimateDispersionsFit(estimateDispersionsGeneEst(blind))
fitted <- attr(dispersionFunction(blind), "coefficients")
keep_samples("trend and prior", c(fitted, attr(regularized, "betaPriorVar"), rep(NA, ncol(counts) - 3)))

write.table(do.call(rbind, rows), gzfile("tests/reference/transforms.tsv.gz"), sep = "\t", quote = FALSE,
            row.names = FALSE)
