"""How functions report their progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["BlockCount", "GenesDone", "Progress", "report_blocks", "silent"]

Progress = Callable[[int, int, str], None]
"""Called with the units of work done, the units in all, and what is being done."""


@dataclass(frozen=True)
class BlockCount:
    """How much of the sampling in blocks has been done.

    Attributes
    ----------
    done, total : int
        Blocks.
    genes_done, genes : int
    genes_found : int
        Of those done, genes of blocks that were on the disk before.
    failed : int
        Genes that could not be sampled.
    """

    done: int
    total: int
    genes_done: int
    genes: int
    genes_found: int = 0
    failed: int = 0


class GenesDone:
    """Reports how many of some genes are done, block by block.

    Parameters
    ----------
    progress : callable
        See `Progress`. It is called at once, with no gene done.
    total : int
        Genes.
    text : str
        What is being done, with ``{:,}`` for their number.
    """

    def __init__(self, progress: Progress, total: int, text: str) -> None:
        self._progress, self._total, self._text = progress, total, text.format(total)
        self._done = 0
        self.more(0)

    def more(self, genes: int) -> None:
        """Report that a block is done.

        Parameters
        ----------
        genes : int
            In the block.
        """
        self._done += genes
        self._progress(self._done, self._total, self._text)


def report_blocks(progress: Progress, count: BlockCount) -> None:
    """Report how many blocks are done, with all that is known where that is asked for.

    Parameters
    ----------
    progress : callable
        See `Progress`. If it has a method ``blocks``, that is called instead, with the count and the text.
    count : BlockCount
    """
    text = f"sampling {count.genes:,} genes"
    in_blocks: Any = getattr(progress, "blocks", None)
    if in_blocks is None:
        progress(count.done, count.total, text)
    else:
        in_blocks(count, text)


def silent(done: int, total: int, text: str) -> None:
    """Report nothing.

    Parameters
    ----------
    done, total : int
        Units of work.
    text : str
        What is being done.
    """
