"""The command that samples posteriors: it reads its options, makes a plan and has it carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayesde.cli.running import carry_out

if TYPE_CHECKING:
    from bayesde.cli.arguments import Chosen

__all__ = ["sample"]


def sample(chosen: Chosen) -> None:
    """Sample the posterior of every gene: by importance sampling, or with Stan.

    Writes results.tsv, diagnostics.tsv, outlier_counts.tsv, the draws and plots into DIR, and the point
    estimates of all genes into DIR/eb and DIR/shrunken. An interrupted run can be resumed. Exit code 3: the
    run finished, but some genes failed their diagnostics; the column `status` shows which. Exit code 4:
    SIGTERM, as schedulers send it, ended the run between two blocks, and it can be resumed.

    For example:

        bayesde sample counts.tsv.gz samples.tsv -d '~ batch + condition' -c condition,treated,control -o post

        bayesde sample counts.tsv.gz samples.tsv -d '~ condition' --engine nuts --genes list.txt -o overnight

        bayesde sample counts.tsv.gz samples.tsv -d '~ condition' --engine joint --genes panel.txt -o panel

        bayesde sample counts.tsv.gz samples.tsv -d '~ condition' --residuals student_t --prior nu=2,0.05 -o t

        bayesde sample counts.tsv.gz samples.tsv --config analyses.toml -o all   # several [[analysis]] tables

        bayesde resume post
    """
    carry_out("sample", chosen)
