"""The plan of a run: everything that was asked for, checked as far as it can be without the data."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bayesde.eb.options import EbOptions
from bayesde.errors import InputError, OptionError
from bayesde.model.priors import Beta, LogNormal, Priors, ShiftedGamma
from bayesde.options import Other, Words, check_fields, described, documented, flag, option
from bayesde.options.toml import check_keys, options_from_dict, read_toml
from bayesde.posterior.effect_option import plain_effects
from bayesde.posterior.options import SamplingOptions, check_draws, check_joint
from bayesde.runs.options import ModelPlan, RunFiles, SamplePlan

__all__ = ["ANALYSIS", "RunPlan", "check_names", "read_config"]

ANALYSIS = "analysis"
"""The key of the analyses of a configuration file that has several."""
BEFORE = {"sampling": {"coding": "treatment"}}
"""Options of plans that were written before these options existed, where their defaults would change runs."""


def _read_priors(texts: list[str]) -> dict[str, Any]:
    """Read ``NAME=VALUE`` or ``NAME=VALUE,VALUE``, or files, over whose priors the others come."""
    values: dict[str, Any] = {}
    for text in sorted(texts, key=lambda text: not text.endswith(".json")):
        if text.endswith(".json"):
            values |= _priors_of_run(text)
            continue
        name, _, numbers = text.partition("=")
        try:
            parts = [float(part) for part in numbers.split(",")]
        except ValueError:
            raise OptionError(
                f"--prior {text!r} is not understood; write it as NAME=VALUE,VALUE, such as "
                "shrinkage_scale=0.2,1.5, or give the hyperparameters.json of another run."
            ) from None
        values[name.strip()] = parts[0] if len(parts) == 1 else parts
    return values


def _priors_of_run(path: str) -> dict[str, dict[str, float]]:
    """Return the priors that another run has taught, as plain values, from its hyperparameters.json."""
    from bayesde.model.hyperparameters import Hyperparameters  # most runs read no file

    usual = dataclasses.asdict(Priors())
    try:
        priors = dataclasses.asdict(Hyperparameters.from_json(path).as_priors())
    except InputError as error:
        raise OptionError(f"priors: '{path}' gives none: {error}") from None
    return {name: values for name, values in priors.items() if values != usual[name]}


def _with_file(values: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the key ``file`` by the priors of that file, over which the others come."""
    if "file" not in values:
        return dict(values)
    path = values["file"]
    if not isinstance(path, str):
        raise OptionError(f"priors: file must be the path of a hyperparameters.json; got {path!r}.")
    return _priors_of_run(path) | {name: value for name, value in values.items() if name != "file"}


def _prior_help() -> str:
    """Describe the option ``--prior``, with the defaults of `Priors`."""
    usual = Priors()
    laws = [(entry.name, getattr(usual, entry.name)) for entry in dataclasses.fields(Priors)]
    pairs = [f"`{name}` [{law.median:g},{law.log_sd:g}]" for name, law in laws if isinstance(law, LogNormal)]
    gammas = [f"`{name}` [{law.shape:g},{law.rate:g}]" for name, law in laws if isinstance(law, ShiftedGamma)]
    betas = [f"`{name}` [{law.a:g},{law.b:g}]" for name, law in laws if isinstance(law, Beta)]
    return (
        f"Prior of a hyperparameter, on the natural-log scale: median and log-sd of {', '.join(pairs)}; "
        f"shape and rate of {', '.join(gammas)}; a and b of the Beta distribution of {', '.join(betas)}; "
        f"`unshrunken_sd` [{usual.unshrunken_sd:g}]; in brackets the "
        "defaults. For example `--prior shrinkage_scale=0.1,1`. Or the hyperparameters.json of another run: "
        "what it learnt, with twice its standard deviations. May be repeated."
    )


@documented
@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """A whole run; the options of sampling are used by command sample only."""

    command: str = field(metadata=described(Words(("eb", "sample")), "Which kind of run."))
    files: RunFiles = field(metadata=described(Other("RunFiles"), "The files that are read."))
    model: ModelPlan = field(metadata=described(Other("ModelPlan"), "What is estimated and tested."))
    eb: EbOptions = option(EbOptions, Other("EbOptions"), "The empirical-Bayes fit.")
    sample: SamplePlan = option(SamplePlan, Other("SamplePlan"), "How the posterior is sampled.")
    sampling: SamplingOptions = option(
        SamplingOptions, Other("SamplingOptions"), "The model of the posterior, and the sampler's settings."
    )
    priors: Priors = option(
        Priors,
        Other("Priors"),
        "Priors of the hyperparameters and of the coefficients that are not shrunken.",
        flag(
            "--prior",
            metavar="NAME=VALUES|FILE.json",
            panel="The model of the posterior",
            help=_prior_help(),
            repeated=True,
            read=_read_priors,
        ),
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if self.files.average_lengths is not None and self.files.normalization_factors is not None:
            raise OptionError(
                "average_lengths: normalization factors already include the lengths; leave one of them out."
            )
        if self.files.control_genes is not None and self.files.normalization_factors is not None:
            raise OptionError(
                "control_genes: normalization factors take the place of size factors, which control genes "
                "are for; leave one of them out."
            )
        if self.command == "sample":
            self._check_fixed()
            check_draws(self.sample)
            if self.sample.engine == "joint":
                check_joint(fixed=self.fixed, local_trend=self.eb.trend == "local")

    @property
    def fixed(self) -> bool:
        """Whether the hyperparameters are given or those of the empirical-Bayes fit, and not learnt."""
        return self.files.hyperparameters is not None or self.sample.hyperparameters == "eb"

    def _check_fixed(self) -> None:
        """Refuse options that contradict hyperparameters that are fixed."""
        if self.files.hyperparameters is not None:
            if self.sample.hyperparameters == "eb":
                raise OptionError(
                    "hyperparameters: they are either those of a file or 'eb'; leave one of them out."
                )
            if self.sampling.shrink is not None:
                raise OptionError(
                    "shrink: the file of hyperparameters determines what is shrunken; leave one of them out."
                )
        elif self.sample.hyperparameters == "eb" and self.sampling.residuals != "normal":
            raise OptionError(
                "residuals: the hyperparameters are fixed at the empirical-Bayes fit, whose residuals are "
                "normal; leave out --residuals or --hyperparameters eb."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values, for JSON.

        Returns
        -------
        dict
            Without the tables that the command does not use.
        """
        values = dataclasses.asdict(self)
        values["sampling"]["effects"] = plain_effects(self.sampling.effects)
        if self.command == "eb":
            del values["sample"], values["sampling"], values["priors"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> RunPlan:
        """Make a plan from what `to_dict` returned.

        Parameters
        ----------
        values : mapping
        where : str
            How messages call the source of the values.

        Returns
        -------
        RunPlan

        Raises
        ------
        OptionError
            If keys or values are not those of a plan.
        """
        try:
            parts = {
                name: _part(name, BEFORE.get(name, {}) | dict(values[name]), where)
                for name in _PARTS
                if name in values
            }
            return cls(command=values["command"], **parts)
        except (KeyError, TypeError) as error:
            raise OptionError(f"{where} does not hold the plan of a run ({error}).") from error


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
_MODEL_KEYS = [entry.name for entry in dataclasses.fields(ModelPlan)]
_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TAKEN = ("run.json", "report.html")


def read_config(path: str | Path) -> dict[str, Any]:
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

        In ``[priors]``, ``file`` is the hyperparameters.json of another run, from which priors are made.
        Each ``[[analysis]]`` is an analysis of its own, for which these tables are the defaults: it has a
        ``name``, the keys of ``[model]``, and other tables, ``[analysis.sampling]``.

    Returns
    -------
    dict
        The values by table, every key checked against the options there are; ``analysis`` is a list of them.

    Raises
    ------
    OptionError
        For an unknown table or key (with the nearest match) or a value that is not allowed.
    """
    values = read_toml(path)
    check_keys(values, [name for name in (*_PARTS, ANALYSIS) if name != "files"], f"'{path}'")
    analyses = values.pop(ANALYSIS, [])
    tables: dict[str, Any] = {name: _table(name, table, f"'{path}'") for name, table in values.items()}
    if not isinstance(analyses, list) or not all(isinstance(one, dict) for one in analyses):
        raise OptionError(f"'{path}': analyses are written as [[analysis]], with two brackets.")
    if analyses:
        tables[ANALYSIS] = [_analysis(one, f"'{path}'", number) for number, one in enumerate(analyses, 1)]
        check_names(one.get("name") for one in analyses)
    return tables


def _table(name: str, table: Any, where: str) -> dict[str, Any]:
    """Check a table of a configuration file."""
    if not isinstance(table, dict):
        raise OptionError(f"{where}: {name} must be a table, [{name}]; got {table!r}.")
    where = f"{where} [{name}]"
    try:
        if name == "model":  # which is whole with the command line only
            check_keys(table, _MODEL_KEYS, where)
        elif name == "priors":
            table = _with_file(table)
            _part(name, table, where)
        else:
            _part(name, table, where)
    except OptionError as error:
        raise error if str(error).startswith(where) else OptionError(f"{where}: {error}") from None
    return table


def _analysis(values: dict[str, Any], where: str, number: int) -> dict[str, Any]:
    """Check one ``[[analysis]]``, and put the keys of its model into a table, as the others are."""
    where = f"{where} [[analysis]] {number}"
    tables = [name for name in _PARTS if name not in ("files", "model")]
    check_keys(values, ["name", *_MODEL_KEYS, *tables], where)
    model = {name: value for name, value in values.items() if name in _MODEL_KEYS}
    read = {name: _table(name, values[name], where) for name in tables if name in values}
    return {"name": values.get("name"), "model": model, **read}


def check_names(names: Iterable[Any]) -> None:
    """Refuse names of analyses that are missing, the same, or cannot be those of folders.

    Parameters
    ----------
    names : iterable

    Raises
    ------
    OptionError
        Naming the first one.
    """
    seen: set[str] = set()
    for name in names:
        if not isinstance(name, str) or not _FOLDER_NAME.fullmatch(name) or name in _TAKEN:
            raise OptionError(
                "each analysis needs a name that can be that of a folder: letters, digits, '_', '-' and '.', "
                f'such as name = "paired"; got {name!r}.'
            )
        if name.lower() in seen:  # which are one folder on some systems
            raise OptionError(f"two analyses are called '{name}'; give each a name of its own.")
        seen.add(name.lower())
