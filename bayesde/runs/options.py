"""What may be chosen for a run: its files, what is estimated, and how the posterior is sampled."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass, field
from typing import Any

from bayesde.eb.options import ALTERNATIVES, LARGEST_THRESHOLD, SHRINKAGES, SIZE_FACTORS
from bayesde.errors import InputError, OptionError
from bayesde.io.options import STRANDS
from bayesde.options import (
    File,
    Formula,
    Number,
    Other,
    Switch,
    Words,
    check_fields,
    described,
    documented,
    flag,
    option,
)
from bayesde.posterior.options import EngineOptions

__all__ = ["ModelPlan", "RunFiles", "SamplePlan", "read_contrast"]

_EB, _SAMPLE = ("eb",), ("sample",)


@documented
@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """The files that a run reads, as absolute paths."""

    counts: str = field(
        metadata=described(
            File(),
            "Table of raw counts: one row per gene, one column per sample (.tsv, .csv, also compressed); or "
            "a folder with one file per sample: STAR's SAMPLE.ReadsPerGene.out.tab, or SAMPLE.counts.",
            flag(metavar="COUNTS", required=True),
        )
    )
    samples: str = field(
        metadata=described(
            File(),
            "Table of the samples: one row each, matched to the counts by name.",
            flag(metavar="SAMPLES", required=True),
        )
    )
    control_genes: str | None = option(
        None,
        File(),
        "List of genes, one name per line, from which alone size factors are estimated.",
        flag("--control-genes", metavar="FILE"),
    )
    genes: str | None = option(
        None,
        File(),
        "List of genes, one name per line: only these get a posterior; all genes are used for everything "
        "else.",
        flag("--genes", metavar="FILE", commands=_SAMPLE),
    )
    normalization_factors: str | None = option(
        None,
        File(),
        "Table of normalization factors by gene and sample, used instead of size factors.",
        flag("--normalization-factors", metavar="FILE"),
    )
    average_lengths: str | None = option(
        None,
        File(),
        "Table of average transcript lengths by gene and sample (tximport's `length`), which normalization "
        "corrects for; the counts are then estimated counts, and are rounded.",
        flag("--average-lengths", metavar="FILE"),
    )
    weights: str | None = option(
        None,
        File(),
        "Table of observation weights, 0 or more, by gene and sample: how reliable each count is.",
        flag("--weights", metavar="FILE", commands=_EB),
    )
    hyperparameters: str | None = option(
        None,
        File(parsed=str),
        "JSON file with fixed hyperparameters.",
        flag(
            "--hyperparameters",
            metavar="FILE|eb",
            panel="The model of the posterior",
            help="Fix the hyperparameters: at the values in a file (hyperparameters.json of another run), or "
            "at the point estimates, `eb`. Default: learn them from all genes and integrate over them.",
            commands=_SAMPLE,
        ),
    )

    def __post_init__(self) -> None:
        check_fields(self)

    def named(self) -> list[tuple[str, str]]:
        """Return the name and path of each file that is read."""
        pairs = [(entry.name, getattr(self, entry.name)) for entry in dataclasses.fields(self)]
        return [(name, value) for name, value in pairs if value is not None]


def read_contrast(text: str) -> tuple[str, ...] | tuple[float, ...] | str:
    """Read a contrast: ``factor,level,reference``, weights such as ``0,1,-1`` or ``[0,1,-1]``, or a text.

    Parameters
    ----------
    text : str

    Returns
    -------
    tuple of str, tuple of float, or str
        As `Design.contrast` takes it.
    """
    bare = text.strip()
    parts = [part.strip() for part in bare.removeprefix("[").removesuffix("]").split(",")]
    with contextlib.suppress(ValueError):
        return tuple(float(part) for part in parts)
    return text if "[" in text or len(parts) != 3 else tuple(parts)


def _read_references(texts: list[str]) -> dict[str, str]:
    """Read ``FACTOR=LEVEL``."""
    references = {}
    for text in texts:
        factor, separator, level = text.partition("=")
        if not (separator and factor.strip() and level.strip()):
            raise InputError(f"--reference {text!r} is not understood; write it as FACTOR=LEVEL.")
        references[factor.strip()] = level.strip()
    return references


def _contrast(name: str, value: Any) -> Any:
    """Make a tuple of a list, as JSON and TOML have it."""
    return tuple(value) if isinstance(value, list) else value


def _contrasts(name: str, values: Any) -> tuple[Any, ...]:
    """Make tuples of several contrasts."""
    return tuple(_contrast(name, value) for value in values)


def _levels(name: str, value: Any) -> dict[str, str]:
    """Refuse anything but a dictionary."""
    if not isinstance(value, dict):
        raise OptionError(f"{name} must be levels by factor; got {value!r}.")
    return value


@documented
@dataclass(frozen=True, kw_only=True)
class ModelPlan:
    """What is estimated and tested."""

    design: str = field(
        metadata=described(
            Formula(),
            "The design: a formula over the columns of the sample table, `'~ batch + condition'`, "
            "`'~ 0 + group'`, ...; with a random effect of each donor (`sample`) "
            "`'~ condition + (1 | donor)'`.",
            flag("--design", "-d", metavar="FORMULA"),
        )
    )
    contrast: tuple[str, ...] | tuple[float, ...] | str | None = option(
        None,
        Other("tuple of str, tuple of float or str", _contrast),
        "The effect that is reported; see `Design.contrast`. By default the last coefficient.",
        flag(
            "--contrast",
            "-c",
            metavar="CONTRAST",
            help="The effect that is reported: `condition,treated,control`; a coefficient, "
            "`'condition[T.treated]'`; a sum or difference of coefficients, `'a - b'`; or a weight for each "
            "coefficient, `0,1,-1`. Default: the last coefficient. May be repeated: the tables of all but "
            "the first are in DIR/contrasts.",
            repeated=True,
            read=lambda texts: [read_contrast(text) for text in texts],
        ),
    )
    other_contrasts: tuple[Any, ...] = option(
        (),
        Other("sequence of contrasts", _contrasts),
        "Further contrasts, each with a table of its own.",
    )
    references: dict[str, str] = option(
        dict,
        Other("dict of str to str, default empty", _levels),
        "Reference level by factor. A contrast of levels makes its own the reference where none is given.",
        flag(
            "--reference",
            "-r",
            metavar="FACTOR=LEVEL",
            help="Reference level of a factor. Default: the last level named in --contrast, else the first "
            "in alphabetical order. May be repeated.",
            repeated=True,
            read=_read_references,
        ),
    )
    size_factors: str = option(
        "ratio", Words(SIZE_FACTORS), "Estimation of size factors.", flag("--size-factors", metavar="METHOD")
    )
    lfc_threshold: float = option(
        0.0,
        Number(0.0, LARGEST_THRESHOLD),
        "Test log2 fold changes against this threshold instead of 0.",
        flag(
            "--lfc-threshold",
            metavar="X",
            help="Threshold of the log2 fold change: `bayesde eb` tests against it, `bayesde sample` adds "
            "the posterior probability that it is exceeded.",
        ),
    )
    shrink: bool = option(
        False,
        Switch(),
        "Whether the table of an EB run has shrunken effects.",
        flag("--shrink", help="Report shrunken effects, with s-values, in results.tsv.", commands=_EB),
    )
    shrinkage: str = option(
        "apeglm",
        Words({**SHRINKAGES, "none": "no shrunken effects, which saves time"}),
        "Shrinkage of the effects in DIR/shrunken.",
        flag("--shrinkage", metavar="METHOD", commands=_EB),
    )
    test: str = option(
        "wald",
        Words(
            {
                "wald": "Wald test of the contrast",
                "lrt": "likelihood-ratio test of the design against a reduced one, for several coefficients "
                "at once: `--test lrt --reduced '~ batch'`",
            }
        ),
        "Test of an EB run.",
        flag("--test", metavar="wald|lrt", commands=_EB),
    )
    reduced: str | None = option(
        None,
        Formula(),
        "Formula of the reduced design of the likelihood-ratio test: the design without the terms that are "
        "tested.",
        flag(
            "--reduced",
            metavar="FORMULA",
            help="For --test lrt: the design without the terms that are tested.",
            commands=_EB,
        ),
    )
    alternative: str = option(
        "greaterAbs",
        Words(ALTERNATIVES),
        "Alternative hypothesis of the Wald test, relative to the threshold.",
        flag(
            "--alternative",
            metavar="KIND",
            commands=_EB,
        ),
    )
    strand: str | None = option(
        None,
        Words(STRANDS),
        "The kind of library for which counts are taken from STAR's files; by default it is inferred from "
        "the totals of their columns.",
        flag(
            "--strand",
            metavar="KIND",
            help="For STAR's files: `unstranded`, `forward` or `reverse` libraries. Default: inferred from "
            "the totals of their columns.",
        ),
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if self.shrink and self.shrinkage == "none":
            raise OptionError(
                "shrink: the table cannot have shrunken effects if there are none; leave --shrink out, or "
                "choose another --shrinkage."
            )
        self._check_test()

    def _check_test(self) -> None:
        """Refuse options that the test has no use for."""
        if self.test == "wald":
            if self.reduced is not None:
                raise OptionError(
                    "reduced: only the likelihood-ratio test has a reduced design; add --test lrt."
                )
            if self.alternative == "lessAbs" and self.lfc_threshold == 0.0:
                raise OptionError("alternative: 'lessAbs' needs a threshold above 0; add --lfc-threshold X.")
            return
        if self.reduced is None:
            raise OptionError(
                "test: the likelihood-ratio test needs a reduced design; add --reduced FORMULA, such as "
                "'~ 1'."
            )
        if self.lfc_threshold > 0.0 or self.alternative != "greaterAbs":
            raise OptionError(
                "test: the likelihood-ratio test has neither a threshold nor an alternative; leave "
                "--lfc-threshold and --alternative out, or choose --test wald."
            )
        if self.shrink:
            raise OptionError(
                "shrink: the p-values beside shrunken effects are the Wald test's; leave --shrink out, the "
                "shrunken effects are in DIR/shrunken."
            )


@documented
@dataclass(frozen=True, kw_only=True)
class SamplePlan(EngineOptions):
    """How the posterior is sampled and summarized."""

    ci_prob: float = option(
        0.95, Number(0.0, 1.0, open_ends=True), "Posterior probability of the intervals in the table."
    )
    hyperparameters: str = option(
        "integrated",
        Words(
            {
                "integrated": "learnt from all genes and integrated over",
                "eb": "fixed at the values of the empirical-Bayes fit; other values come in a file",
            }
        ),
        "Hyperparameters.",
    )
