"""Report on the Stan runtime: what is there, what is missing, and what to do about it. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bayesde.errors import BayesdeError
from bayesde.stan_runtime.cache import cache_dir
from bayesde.stan_runtime.embedded import built_embedded
from bayesde.stan_runtime.locate import SUPPORTED, CmdStanHome, find_existing, forced_source, too_old_note
from bayesde.stan_runtime.toolchain import EB_NEEDS_NONE, Toolchain, find_toolchain

__all__ = ["DoctorReport", "doctor"]


@dataclass(frozen=True, kw_only=True)
class DoctorReport:
    """The state of the Stan runtime.

    Parameters
    ----------
    cmdstan : CmdStanHome or None
        The CmdStan that would be used; None where one would have to be installed first.
    toolchain : Toolchain
        Compiler and make.
    cmdstanpy : str
        The version of cmdstanpy.
    cache : pathlib.Path
        Where bayesde keeps CmdStan and compiled programs.
    problems : tuple of str
        What prevents Stan from running, each with what to do.
    notes : tuple of str
        What does not prevent it but may matter: a CmdStan that is newer than the supported versions, or one
        that is too old to be used.
    """

    cmdstan: CmdStanHome | None
    toolchain: Toolchain
    cmdstanpy: str
    cache: Path
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether programs can be compiled and run right now."""
        return self.cmdstan is not None and not self.problems

    def lines(self) -> list[str]:
        """Return the report as lines of text, problems last."""
        home = self.cmdstan
        found = f"{home.version} ({home.source}) in {home.path}" if home else "none yet"
        facts = {
            "CmdStan": found,
            "supported": f"CmdStan {SUPPORTED}",
            "cmdstanpy": self.cmdstanpy,
            "C++ compiler": _fact(self.toolchain.compiler, self.toolchain.compiler_version),
            "make": _fact(self.toolchain.make, self.toolchain.make_version),
            "cache": str(self.cache),
        }
        rows = [f"{name:<13} {value}" for name, value in facts.items()]
        if home is None and not self.problems:
            rows.append("to do         bayesde install-stan (otherwise done at the first use of Stan)")
        rows += [f"note          {note}" for note in self.notes]
        rows += [f"problem       {problem}" for problem in self.problems]
        return [*rows, f"              {EB_NEEDS_NONE}"] if self.problems else rows


def doctor() -> DoctorReport:
    """Check everything that running Stan needs.

    Returns
    -------
    DoctorReport
        Which CmdStan, compiler and make there are, and what is missing.
    """
    problems = []
    home = None
    try:
        forced = forced_source()
        home = find_existing() if forced != "embedded" else None
        if home is None and forced in (None, "embedded"):
            home = built_embedded()
        if home is None and forced == "existing":
            problems.append(
                f"no CmdStan {SUPPORTED} was found, and BAYESDE_CMDSTAN=existing forbids installing one; "
                "unset it"
            )
    except BayesdeError as error:
        problems.append(str(error))
    tools = find_toolchain()
    if tools.missing:
        problems.append(tools.advice)
    return DoctorReport(
        cmdstan=home,
        toolchain=tools,
        cmdstanpy=version("cmdstanpy"),
        cache=cache_dir(),
        problems=tuple(problems),
        notes=tuple(filter(None, (home.version_warning if home else "", too_old_note()))),
    )


def _fact(command: str | None, version_line: str | None) -> str:
    return f"{command}: {version_line}" if command else "none"
