"""Options of models of sequence-specific bias."""

from __future__ import annotations

from dataclasses import dataclass

from bayesde.errors import OptionError
from bayesde.options import Number, Switch, Whole, Words, check_fields, documented, flag, option

__all__ = ["BiasOptions"]


@documented
@dataclass(frozen=True, kw_only=True)
class BiasOptions:
    """How reads are chosen, and the model of the bases around their starts.

    Raises
    ------
    OptionError
        For a value that is not allowed.
    """

    model: str = option(
        "variable_markov",
        Words(
            {
                "position_weights": "bases are independent of each other",
                "kmers": "one joint table of the first bases of reads (Hansen 2010)",
                "markov": "every base given a fixed number of preceding ones",
                "variable_markov": "every base given as many preceding ones as the reads support",
                "network": "a Bayesian network with learnt structure (Jones 2012, seqbias)",
                "gru": "a recurrent network with gated units (Zhang 2017)",
                "lstm": "a recurrent network with long short-term memory",
            }
        ),
        "Model of the bases around starts.",
        flag("--model", metavar="MODEL"),
    )
    window: int = option(
        21,
        Whole(5, 101),
        "Number of bases around a start that the model looks at, odd: half of them before the start.",
        flag("--window", metavar="N"),
    )
    order: int = option(
        1, Whole(0, 5), "Number of preceding bases of model `markov`.", flag("--order", metavar="N")
    )
    longest: int = option(
        3, Whole(0, 6), "Number of bases of the longest contexts of model `variable_markov`."
    )
    kmer: int = option(
        6,
        Whole(1, 8),
        "Number of bases of model `kmers`, from the start of a read.",
        flag("--kmer", metavar="N"),
    )
    units: int = option(
        20, Whole(1, 256), "Size of the hidden state of recurrent networks.", flag("--units", metavar="N")
    )
    sequences: int = option(
        100_000,
        Whole(1, 10_000_000),
        "The largest number of distinct starts that a model is fitted to, drawn at random.",
        flag("--sequences", metavar="N"),
    )
    coverage: float = option(
        0.3,
        Number(0.0, 1e6, open_ends=True),
        "Genes with more reads for each base and strand than this are thinned before distinct starts are "
        "taken: where reads are dense, these show too little of the bias.",
        flag("--coverage", metavar="N"),
    )
    copies: int = option(
        3,
        Whole(1, 1000),
        "How often a start at which several reads begin counts at the most; with 1, dense genes show too "
        "little of the bias, and with many, single places of many copies dominate.",
        flag("--copies", metavar="N"),
    )
    shift: float = option(
        500.0,
        Number(1.0, 1e6),
        "Standard deviation of the shift from a start to its background, bases.",
        flag("--shift", metavar="BASES"),
    )
    min_starts: int = option(
        1000,
        Whole(20, 10_000_000),
        "A library with fewer distinct starts in genes than this is refused.",
        flag("--min-starts", metavar="N"),
    )
    min_quality: int = option(
        10,
        Whole(0, 255),
        "The smallest mapping quality of reads without the tag NH; with it, NH:i:1 is required.",
        flag("--min-quality", metavar="Q"),
    )
    drop_duplicates: bool = option(
        False, Switch(), "Leave out reads that are flagged as duplicates.", flag("--drop-duplicates")
    )
    seed: int = option(
        1,
        Whole(0, 2**31 - 1),
        "Random seed: the same seed gives the same models.",
        flag("--seed", metavar="N"),
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if self.window % 2 == 0:
            raise OptionError(f"window must be odd, so that the start is in its middle; got {self.window}.")
        if self.model == "kmers" and self.kmer > self.window // 2 + 1:
            raise OptionError(
                f"kmer must be at most {self.window // 2 + 1}, the number of bases from the start to the end "
                f"of a window of {self.window}; got {self.kmer}."
            )
