"""Reads of BAM files, exons of GTF files, and their places in the sequences of genes."""

import gzip

import numpy as np
import pytest

from bayesde import InputError
from bayesde.bias.fragments import fragment_law, fragments
from bayesde.bias.reading.alignments import read_alignments
from bayesde.bias.reading.annotation import Gene, covered_stretches, read_genes, union
from bayesde.bias.reading.genome import encoded, reverse_complement
from bayesde.bias.reading.places import join_exons, located
from bayesde.errors import BayesdeWarning

CONTIGS = {"chr1": 80_500}


def test_reads_start_at_their_five_prime_end(tmp_path, written):
    reads = [
        {"name": "forward", "start": 100, "flag": 0},
        {"name": "reverse", "start": 100, "flag": 16},
        {"name": "clipped", "start": 200, "flag": 0, "cigar": "3S27M"},
        {"name": "clipped_reverse", "start": 200, "flag": 16, "cigar": "27M3S"},
        {"name": "spliced_reverse", "start": 300, "flag": 16, "cigar": "10M50N20M"},
        {"name": "hard", "start": 400, "flag": 16, "cigar": "20M10H"},
    ]
    found = read_alignments(written(tmp_path / "a.bam", reads, CONTIGS), blocks=True)
    assert found.start.tolist() == [100, 129, 197, 229, 379, 419]
    assert found.reverse.tolist() == [False, True, False, True, True, True]
    assert found.blocks[found.blocks[:, 1] >= 300, 1:].tolist() == [[300, 310], [360, 380], [400, 420]]
    assert found.contigs == CONTIGS


def test_only_unique_primary_alignments_are_used(tmp_path, written):
    reads = [
        {"name": "a", "start": 1, "flag": 0, "hits": 1, "quality": 0},
        {"name": "b", "start": 2, "flag": 0, "hits": 2, "quality": 60},
        {"name": "c", "start": 3, "flag": 0, "quality": 9},
        {"name": "d", "start": 4, "flag": 0x400},
        {"name": "e", "start": 5, "flag": 0x100},
        {"name": "f", "start": 6, "flag": 0x4},
        {"name": "g", "start": 7, "flag": 0x200},
    ]
    path = written(tmp_path / "a.bam", reads, CONTIGS)
    kept = read_alignments(path)
    assert kept.start.tolist() == [1, 4]
    assert kept.left_out == {
        "not uniquely mapped": 2,
        "secondary or supplementary": 1,
        "unmapped": 1,
        "flagged as duplicate or failed": 1,
    }
    assert read_alignments(path, drop_duplicates=True).start.tolist() == [1]
    assert read_alignments(path, min_quality=9).start.tolist() == [1, 3, 4]


def test_mates_are_found_in_any_order_of_reads(tmp_path, written):
    reads = [
        {"name": "p", "start": 10, "flag": 0x1 | 0x20 | 0x40, "mate": 90},
        {"name": "q", "start": 20, "flag": 0x1 | 0x20 | 0x80, "mate": 95},
        {"name": "p", "start": 90, "flag": 0x1 | 0x10 | 0x80, "mate": 10},
        {"name": "q", "start": 95, "flag": 0x1 | 0x10 | 0x40, "mate": 20},
        {"name": "lonely", "start": 99, "flag": 0x1 | 0x40, "mate": 300},
    ]
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1]):
        path = written(tmp_path / "a.bam", [reads[i] for i in order], CONTIGS, sort=False)
        found = read_alignments(path)
        pairs = {
            frozenset((int(found.start[i]), int(found.start[m])))
            for i, m in enumerate(found.mate.tolist())
            if m >= 0
        }
        assert pairs == {frozenset((10, 119)), frozenset((20, 124))}
        assert (found.mate < 0).sum() == 1


def test_damaged_files_are_refused(tmp_path, bams):
    whole = bams["a1"].read_bytes()
    with pytest.raises(InputError, match="does not exist"):
        read_alignments(tmp_path / "none.bam")
    (tmp_path / "cut.bam").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is truncated: the block that ends a BAM file is missing"):
        read_alignments(tmp_path / "cut.bam")
    middle = len(whole) // 2
    (tmp_path / "damaged.bam").write_bytes(whole[:middle] + bytes(2000) + whole[middle + 2000 :])
    with pytest.raises(InputError, match=r"cannot be read as a BAM file: (error|trunc)"):
        read_alignments(tmp_path / "damaged.bam")
    (tmp_path / "text.bam").write_text("not an alignment\n")
    with pytest.raises(InputError, match="cannot be read as a BAM file"):
        read_alignments(tmp_path / "text.bam")
    with pytest.raises(InputError, match="is a folder; give the file"):
        read_alignments(tmp_path)
    (tmp_path / "genome.bam").write_text(">chr1\nACGTACGT\n")
    with pytest.raises(InputError, match="its header names no reference sequence"):
        read_alignments(tmp_path / "genome.bam")


def test_a_file_without_unique_reads_is_refused(tmp_path, written):
    path = written(tmp_path / "a.bam", [{"name": "a", "start": 1, "flag": 0, "quality": 0}], CONTIGS)
    with pytest.raises(InputError, match=r"no uniquely mapped read \(1 not uniquely mapped\)"):
        read_alignments(path)
    with pytest.raises(InputError, match=r"\(it is empty\)"):
        read_alignments(written(tmp_path / "b.bam", [], CONTIGS))


def test_exons_of_all_transcripts_are_joined(tmp_path):
    lines = [
        'chr2\tx\texon\t11\t20\t.\t-\t.\tgene_id "a"; transcript_id "a1";',
        'chr2\tx\texon\t15\t30\t.\t-\t.\tgene_id "a"; transcript_id "a2";',
        'chr2\tx\tCDS\t100\t200\t.\t-\t.\tgene_id "a"; transcript_id "a2";',
        'chr2\tx\texon\t41\t50\t.\t-\t.\tgene_id "a"; transcript_id "a2";',
        'chrX\tx\texon\t1\t9\t.\t+\t.\tgene_id "par"; transcript_id "p";',
        'chrY\tx\texon\t1\t9\t.\t+\t.\tgene_id "par"; transcript_id "p";',
    ]
    path = tmp_path / "a.gtf.gz"
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    a, par = read_genes(path)
    assert (a.name, a.contig, a.strand) == ("a", "chr2", -1)
    assert a.exons.tolist() == [[10, 30], [40, 50]]
    assert (par.contig, par.exons.tolist()) == ("chrX", [[0, 9]])


@pytest.mark.parametrize("text", ["", 'chr1\tx\tgene\t1\t9\t.\t+\t.\tgene_id "a";\n', "words\n"])
def test_an_annotation_without_exons_is_refused(tmp_path, text):
    (tmp_path / "a.gtf").write_text(text)
    with pytest.raises(InputError, match="has no exons"):
        read_genes(tmp_path / "a.gtf")


def test_a_broken_line_of_an_annotation_is_refused(tmp_path):
    (tmp_path / "a.gtf").write_text('chr1\tx\texon\tone\t9\t.\t+\t.\tgene_id "a";\n')
    with pytest.raises(InputError, match="cannot be read as a GTF file"):
        read_genes(tmp_path / "a.gtf")
    with pytest.raises(InputError, match="does not exist"):
        read_genes(tmp_path / "b.gtf")


def test_union_of_intervals():
    assert union([(5, 9), (1, 3), (8, 12), (14, 15)]).tolist() == [[1, 3], [5, 12], [14, 15]]
    assert union([(5, 9), (1, 3), (8, 12), (14, 15)], 2).tolist() == [[1, 15]]


def test_stretches_are_covered_by_any_library(tmp_path, written):
    one = [{"name": str(i), "start": i, "flag": 0} for i in range(100, 180, 20)]
    two = [{"name": str(i), "start": i, "flag": 0} for i in [*range(180, 300, 20), 1000]]
    libraries = [
        read_alignments(written(tmp_path / f"{i}.bam", reads, CONTIGS), blocks=True)
        for i, reads in enumerate((one, two))
    ]
    (stretch,) = covered_stretches(libraries)
    assert stretch.name == "chr1:101-310"
    assert stretch.exons.tolist() == [[100, 310]]
    with pytest.raises(InputError, match="cover no stretch of 100 bases"):
        covered_stretches([read_alignments(written(tmp_path / "c.bam", two[-1:], CONTIGS), blocks=True)])


def test_bases_around_starts_are_those_of_the_spliced_gene(genome, tmp_path, written):
    places = join_exons(read_genes(genome.gtf), genome.fasta, 4, CONTIGS)
    (a, b), (c, _) = genome.exons[0]
    spliced = np.concatenate([genome.bases[a:b], genome.bases[c : c + 4]])
    reads = [
        {"name": "last_of_first_exon", "start": b - 1, "flag": 0, "cigar": "1M100N29M"},
        {"name": "reverse", "start": b - 30, "flag": 16},
        {"name": "first_base", "start": a, "flag": 0},
        {"name": "intron", "start": b, "flag": 0},
    ]
    starts = located(read_alignments(written(tmp_path / "a.bam", reads, CONTIGS, sort=False)), places)
    assert starts.position.size == 3
    found = places.contexts(starts.position, starts.reverse, 9)
    assert found[0].tolist() == spliced[b - a - 5 : b - a + 4].tolist()
    assert found[1].tolist() == (3 - found[0][::-1]).tolist()
    assert found[2].tolist() == genome.bases[a - 4 : a + 5].tolist()


def test_bases_of_several_genes_are_not_counted(genome):
    genes = [
        Gene("a", "chr1", 1, np.array([[10, 20], [30, 40]])),
        Gene("b", "chr1", 1, np.array([[15, 25]])),
        Gene("c", "chr1", -1, np.array([[35, 36]])),
    ]
    places = join_exons(genes, genome.fasta, 2, CONTIGS)
    pieces = places.pieces["chr1"]
    assert pieces[:, :2].tolist() == [[10, 15], [20, 25], [30, 35], [36, 40]]
    assert places.shared == 6
    for start, end, shift in pieces.tolist():
        assert places.codes[start + shift : end + shift].tolist() == genome.bases[start:end].tolist()
    gene = places.gene_of(pieces[:, 0] + pieces[:, 2])
    assert [places.names[g] for g in gene] == ["a", "b", "a", "a"]


def test_flanks_beyond_the_sequence_are_unknown(genome):
    size = genome.bases.size
    places = join_exons([Gene("a", "chr1", 1, np.array([[1, size - 1]]))], genome.fasta, 3, CONTIGS)
    assert places.codes[:3].tolist() == [4, 4, genome.bases[0]]
    assert places.codes[-3:].tolist() == [genome.bases[-1], 4, 4]


def test_a_genome_with_other_names_or_sizes_is_refused(genome):
    gene = [Gene("a", "1", 1, np.array([[1, 9]]))]
    with pytest.raises(
        InputError, match=r"has no sequence '1', .* its sequences are 'chr1'\. '1' and 'chr1' may"
    ):
        join_exons(gene, genome.fasta, 3, {"1": 80_500})
    with pytest.raises(InputError, match=r"'chr1' has 80,500 bases in the genome .*, and 90,000 where"):
        join_exons([gene[0]._replace(contig="chr1")], genome.fasta, 3, {"chr1": 90_000})
    with pytest.raises(InputError, match="which has 80,500 bases"):
        join_exons([Gene("a", "chr1", 1, np.array([[1, 90_000]]))], genome.fasta, 3, CONTIGS)
    with pytest.raises(InputError, match="does not exist"):
        join_exons(gene, genome.folder / "none.fa", 3, CONTIGS)


def test_genes_without_a_sequence_are_left_out(genome):
    genes = [Gene("a", "chr1", 1, np.array([[1, 9]])), Gene("b", "scaffold", 1, np.array([[1, 9]]))]
    with pytest.warns(BayesdeWarning, match=r"1 of 2 genes lie on sequences .* \('scaffold'\)"):
        assert join_exons(genes, genome.fasta, 3, CONTIGS).names == ("a",)


def test_no_index_is_left_beside_the_genome(genome):
    join_exons([Gene("a", "chr1", 1, np.array([[1, 9]]))], genome.fasta, 3, CONTIGS)
    assert not genome.fasta.with_name("genome.fa.fai").exists()


def test_codes_and_the_other_strand():
    assert encoded("ACGTNacgtn").tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]
    assert reverse_complement(encoded("AACGN")).tolist() == encoded("NCGTT").tolist()


def test_fragments_of_a_paired_library(genome, paired):
    places = join_exons(read_genes(genome.gtf), genome.fasta, 10, CONTIGS)
    starts = located(read_alignments(paired), places)
    law = fragment_law(starts, places, 30)
    assert law.paired
    assert law.lengths.tolist() == [120]
    assert abs(law.sense - 0.5) < 0.05
    assert fragments(starts).size == 5000
    assert not fragment_law(starts, places, 30, whole_genes=False).paired


def test_the_strand_of_a_library_is_found(genome, tmp_path, written):
    places = join_exons(read_genes(genome.gtf), genome.fasta, 10, CONTIGS)
    reads = [
        {"name": str(g), "start": exons[0][0] + 5, "flag": 16 * (g % 2)}
        for g, exons in enumerate(genome.exons)
    ]
    law = fragment_law(
        located(read_alignments(written(tmp_path / "a.bam", reads, CONTIGS)), places), places, 30
    )
    assert law.sense == 1.0
    assert law.forward_share(np.array([1, -1, 0])).tolist() == [1.0, 0.0, 0.5]
