# The same conversation as worker.py: serve(package, run), where run(data, clock) returns the answer by gene.

read_set <- function(folder) {
  meta <- read.delim(file.path(folder, "meta.tsv"), header = FALSE, row.names = 1)
  meta <- setNames(as.list(as.character(meta[[1]])), rownames(meta))
  genes <- readLines(file.path(folder, "genes.txt"))
  samples <- read.delim(file.path(folder, "samples.tsv"), row.names = 1, colClasses = "character")
  samples[] <- lapply(samples, factor)
  samples[[meta$factor]] <- relevel(samples[[meta$factor]], meta$reference)
  path <- file.path(folder, "counts.i32")
  counts <- readBin(path, "integer", file.size(path) / 4, size = 4, endian = "little")
  counts <- matrix(counts, nrow = length(genes), byrow = TRUE, dimnames = list(genes, rownames(samples)))
  c(meta, list(counts = counts, genes = genes, samples = samples, design = as.formula(meta$formula)))
}

tell <- function(...) {
  cat("@@ {", paste(c(...), collapse = ", "), "}\n", sep = "")
  flush(stdout())
}

new_clock <- function() {
  steps <- list()
  function(step, code) {
    if (missing(step)) return(steps)
    start <- proc.time()[["elapsed"]]
    force(code)
    steps[[step]] <<- proc.time()[["elapsed"]] - start
    invisible(code)
  }
}

serve <- function(package, run, note = "") {
  arguments <- commandArgs(trailingOnly = TRUE)
  data <- read_set(arguments[1])
  tell('"event": "ready"', sprintf('"version": "%s"', packageVersion(package)), sprintf('"note": "%s"', note))
  input <- file("stdin", open = "r")
  answer <- NULL
  while (identical(readLines(input, n = 1), "run")) {
    clock <- new_clock()
    answer <- suppressMessages(run(data, clock))
    steps <- clock()
    tell('"event": "done"', sprintf('"steps": {%s}', paste(sprintf('"%s": %.6f', names(steps), unlist(steps)),
                                                         collapse = ", ")))
  }
  answer <- answer[match(data$genes, rownames(answer)), , drop = FALSE]
  answer <- cbind(gene = data$genes, format(answer, digits = 17, trim = TRUE))
  write.table(answer, arguments[2], sep = "\t", quote = FALSE, row.names = FALSE)
  tell('"event": "answered"')
}
