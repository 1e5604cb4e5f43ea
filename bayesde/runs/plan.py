"""The plan of a run: everything that was asked for, checked as far as it can be without the data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bayesde.eb.testing.wald import ALTERNATIVES, LARGEST_THRESHOLD
from bayesde.errors import OptionError
from bayesde.io.one_sample import STRANDS
from bayesde.model.priors import Priors
from bayesde.options import EbOptions, check_choice, check_range, options_from_dict, read_toml
from bayesde.posterior.options import FEWEST_WEIGHTED, MOST_WEIGHTED, SamplingOptions, check_whole

__all__ = ["ModelPlan", "RunFiles", "RunPlan", "SamplePlan", "read_config"]

ENGINES = ("psis", "nuts", "joint")
HYPERPARAMETERS = ("integrated", "eb")
SIZE_FACTORS = ("ratio", "poscounts", "iterate")
TESTS = ("wald", "lrt")
SHRINKAGES = ("apeglm", "normal", "ashr", "none")
"""Priors of the shrunken table, by the names that `EbFit.shrink` knows, or none."""


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """The files that a run reads, as absolute paths.

    Parameters
    ----------
    counts, samples : str
        The count table and the sample table.
    control_genes, genes : str, optional
        Lists of genes, one a line: those that size factors are taken from, those that get a posterior.
    normalization_factors : str, optional
        A table (gene, sample) in place of size factors.
    average_lengths : str, optional
        A table (gene, sample) of average transcript lengths; the counts are estimates then, and rounded.
    weights : str, optional
        Of an EB run: a table (gene, sample) of observation weights.
    hyperparameters : str, optional
        JSON with fixed hyperparameters.
    """

    counts: str
    samples: str
    control_genes: str | None = None
    genes: str | None = None
    normalization_factors: str | None = None
    average_lengths: str | None = None
    weights: str | None = None
    hyperparameters: str | None = None

    def __post_init__(self) -> None:
        for name, value in self.named():
            object.__setattr__(self, name, str(Path(value).absolute()))

    def named(self) -> list[tuple[str, str]]:
        """Return the name and path of each file that is read."""
        pairs = [(entry.name, getattr(self, entry.name)) for entry in dataclasses.fields(self)]
        return [(name, value) for name, value in pairs if value is not None]


@dataclass(frozen=True, kw_only=True)
class ModelPlan:
    """What is estimated.

    Parameters
    ----------
    design : str
        A formula over the sample table.
    contrast : tuple of str, tuple of float or str, optional
        What the table is about; see `Design.contrast`.
    other_contrasts : tuple
        Of an EB run: contrasts that get a table of their own beside the main one.
    references : dict of str to str
        Reference level by factor. A contrast of levels makes its own the reference where none is given.
    size_factors : {"ratio", "poscounts", "iterate"}
    lfc_threshold : float
        log2; at least 0.
    shrink : bool
        Whether the table of an EB run has shrunken effects.
    shrinkage : {"apeglm", "normal", "ashr", "none"}
        How effects are shrunken; with ``"none"`` they are not.
    test : {"wald", "lrt"}
        Of an EB run: whether the contrast is tested, or the design against a reduced one.
    reduced : str, optional
        The formula of the reduced design; for the likelihood-ratio test, which needs it.
    alternative : str
        What a small p-value of the Wald test claims; see `EbFit.results`.
    strand : {"unstranded", "forward", "reverse"}, optional
        For which kind of library counts are taken from STAR's files; see `read_counts`.
    """

    design: str
    contrast: tuple[str, ...] | tuple[float, ...] | str | None = None
    other_contrasts: tuple[Any, ...] = ()
    references: dict[str, str] = field(default_factory=dict)
    size_factors: str = "ratio"
    lfc_threshold: float = 0.0
    shrink: bool = False
    shrinkage: str = "apeglm"
    test: str = "wald"
    reduced: str | None = None
    alternative: str = "greaterAbs"
    strand: str | None = None

    def __post_init__(self) -> None:
        check_choice("size_factors", self.size_factors, SIZE_FACTORS)
        if self.strand is not None:
            check_choice("strand", self.strand, STRANDS)
        check_range("lfc_threshold", self.lfc_threshold, 0.0, LARGEST_THRESHOLD)
        for name, allowed in _CHOICES.items():
            check_choice(name, getattr(self, name), allowed)
        if not isinstance(self.shrink, bool):
            raise OptionError(f"shrink must be true or false; got {self.shrink!r}")
        for name, given in {"design": self.design, "reduced": self.reduced or ""}.items():
            if not isinstance(given, str):
                raise OptionError(f"{name} must be a formula, such as '~ batch + condition'; got {given!r}")
        if not isinstance(self.references, dict):
            raise OptionError(f"references must be levels by factor; got {self.references!r}")
        if self.shrink and self.shrinkage == "none":
            raise OptionError(
                "shrink: the table cannot have shrunken effects if there are none; leave --shrink out, or "
                "choose another --shrinkage"
            )
        self._check_test()
        object.__setattr__(self, "contrast", _frozen(self.contrast))
        object.__setattr__(self, "other_contrasts", tuple(map(_frozen, self.other_contrasts)))

    def _check_test(self) -> None:
        """Refuse options that the test has no use for."""
        if self.test == "wald":
            if self.reduced is not None:
                raise OptionError(
                    "reduced: only the likelihood-ratio test has a reduced design; add --test lrt"
                )
            if self.alternative == "lessAbs" and self.lfc_threshold == 0.0:
                raise OptionError("alternative: 'lessAbs' needs a threshold above 0; add --lfc-threshold X")
            return
        if self.reduced is None:
            raise OptionError(
                "test: the likelihood-ratio test needs a reduced design; add --reduced FORMULA, such as '~ 1'"
            )
        if self.lfc_threshold > 0.0 or self.alternative != "greaterAbs":
            raise OptionError(
                "test: the likelihood-ratio test has neither a threshold nor an alternative; leave "
                "--lfc-threshold and --alternative out, or choose --test wald"
            )
        if self.shrink:
            raise OptionError(
                "shrink: the p-values beside shrunken effects are the Wald test's; leave --shrink out, the "
                "shrunken effects are in DIR/shrunken"
            )


def _frozen(contrast: Any) -> Any:
    """Make a tuple of a list, as JSON and TOML have it."""
    return tuple(contrast) if isinstance(contrast, list) else contrast


_CHOICES = {"test": TESTS, "alternative": ALTERNATIVES, "shrinkage": SHRINKAGES}


@dataclass(frozen=True, kw_only=True)
class SamplePlan:
    """How the posterior is sampled.

    Parameters
    ----------
    engine : {"psis", "nuts", "joint"}
    draws, warmup, chains : int
        Draws and warm-up iterations of each chain. Of engine psis only the draws of a gene, from 100 to a
        million; the others are for genes that it hands over to engine nuts.
    seed : int
    ci_prob : float
        Probability that intervals hold; in (0, 1).
    hyperparameters : {"integrated", "eb"}
        Whether they are learnt from all genes and integrated over, or fixed at the values of the
        empirical-Bayes fit; other values come in a file.
    """

    engine: str = "psis"
    draws: int = 1000
    warmup: int = 300
    chains: int = 4
    seed: int = 1
    ci_prob: float = 0.95
    hyperparameters: str = "integrated"

    def __post_init__(self) -> None:
        check_choice("engine", self.engine, ENGINES)
        check_choice("hyperparameters", self.hyperparameters, HYPERPARAMETERS)
        check_whole("draws", self.draws, 4, 10**7)
        check_whole("warmup", self.warmup, 1, 10**7)
        check_whole("chains", self.chains, 1, 1000)
        check_whole("seed", self.seed, 0, 2**32 - 1)
        check_range("ci_prob", self.ci_prob, 0.0, 1.0, open_ends=True)


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """A whole run.

    Parameters
    ----------
    command : {"eb", "sample"}
    files : RunFiles
    model : ModelPlan
    eb : EbOptions
    sample : SamplePlan
        Used by ``sample`` only, as are `sampling` and `priors`.
    sampling : SamplingOptions
    priors : Priors
    """

    command: str
    files: RunFiles
    model: ModelPlan
    eb: EbOptions = field(default_factory=EbOptions)
    sample: SamplePlan = field(default_factory=SamplePlan)
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    priors: Priors = field(default_factory=Priors)

    def __post_init__(self) -> None:
        check_choice("command", self.command, ("eb", "sample"))
        if self.files.average_lengths is not None and self.files.normalization_factors is not None:
            raise OptionError(
                "average_lengths: normalization factors already say everything; leave one of them out"
            )
        if self.files.control_genes is not None and self.files.normalization_factors is not None:
            raise OptionError(
                "control_genes: normalization factors take the place of size factors, which control genes "
                "are for; leave one of them out"
            )
        if self.command == "sample":
            self._check_fixed()
            if self.sample.engine == "psis":
                check_whole("draws", self.sample.draws, FEWEST_WEIGHTED, MOST_WEIGHTED)
            if self.sample.engine == "joint":
                self._check_joint()

    @property
    def fixed(self) -> bool:
        """Whether the hyperparameters are given or those of the empirical-Bayes fit, and not learnt."""
        return self.files.hyperparameters is not None or self.sample.hyperparameters == "eb"

    def _check_fixed(self) -> None:
        """Refuse options that speak against hyperparameters that are fixed."""
        if self.files.hyperparameters is not None:
            if self.sample.hyperparameters == "eb":
                raise OptionError(
                    "hyperparameters: they are either those of a file or 'eb'; leave one of them out"
                )
            if self.sampling.shrink is not None:
                raise OptionError(
                    "shrink: the file of hyperparameters says what is shrunken; leave one of them out"
                )
        elif self.sample.hyperparameters == "eb" and self.sampling.residuals == "student_t":
            raise OptionError(
                "residuals: the empirical-Bayes fit has normal ones, and its values are to be used; leave "
                "--residuals out, or --hyperparameters eb"
            )

    def _check_joint(self) -> None:
        """Refuse what engine joint cannot do."""
        if self.fixed:
            raise OptionError(
                "hyperparameters: engine 'joint' samples them and takes none; use engine 'psis' or 'nuts' to "
                "fix them"
            )
        if self.eb.trend == "local":
            raise OptionError(
                "trend: engine 'joint' has no local trend; choose 'parametric' or 'mean' (--trend mean)"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values, for JSON."""
        values = dataclasses.asdict(self)
        if self.command == "eb":
            del values["sample"], values["sampling"], values["priors"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> RunPlan:
        """Make a plan from what `to_dict` gave.

        Raises
        ------
        OptionError
            If keys or values are not those of a plan.
        """
        try:
            parts = {name: _part(name, values[name], where) for name in _PARTS if name in values}
            return cls(command=values["command"], **parts)
        except (KeyError, TypeError) as error:
            raise OptionError(f"{where} does not hold the plan of a run ({error})") from error


def _part(name: str, values: Mapping[str, Any], where: str) -> Any:
    """Make one part of a plan of plain values."""
    if name == "priors":
        return Priors.from_dict(values, where)
    return options_from_dict(_PARTS[name], values, where)


_PARTS: dict[str, Any] = {
    "files": RunFiles,
    "model": ModelPlan,
    "eb": EbOptions,
    "sample": SamplePlan,
    "sampling": SamplingOptions,
    "priors": Priors,
}


def read_config(path: str | Path) -> dict[str, dict[str, Any]]:
    """Read options from a TOML file: ``[model]``, ``[eb]``, ``[sample]``, ``[sampling]`` and ``[priors]``.

    Parameters
    ----------
    path : path
        For example::

            [model]
            design = "~ batch + condition"
            test = "lrt"
            reduced = "~ batch"
            [eb]
            fdr = 0.05
            [sample]
            draws = 2000
            [sampling]
            residuals = "student_t"
            [priors]
            shrinkage_scale = {median = 0.3, log_sd = 1.0}

    Returns
    -------
    dict
        The values by table, every key checked against the options there are.

    Raises
    ------
    OptionError
        For an unknown table or key (with the nearest match) or a value that is not allowed.
    """
    values = read_toml(path)
    options_from_dict(_ConfigTables, values, f"'{path}'")
    for name, table in values.items():
        if not isinstance(table, dict):
            raise OptionError(f"'{path}': {name} must be a table, [{name}]; got {table!r}")
        where = f"'{path}' [{name}]"
        try:
            if name == "model":  # which is whole with the command line only
                options_from_dict(_ModelKeys, table, where)
            else:
                _part(name, table, where)
        except OptionError as error:
            raise error if str(error).startswith(where) else OptionError(f"{where}: {error}") from None
    return values


@dataclass(frozen=True, kw_only=True)
class _ConfigTables:
    """Which tables a configuration file may have."""

    model: Any = None
    eb: Any = None
    sample: Any = None
    sampling: Any = None
    priors: Any = None


_ModelKeys: Any = dataclasses.make_dataclass(
    "_ModelKeys", [(entry.name, Any, None) for entry in dataclasses.fields(ModelPlan)]
)
"""What a table ``[model]`` may have."""
