"""Provide a CmdStan: the user's own first, then a release, then the embedded one."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import threading
import urllib.request
import warnings
from functools import cache

from bayesde.errors import BayesdeWarning, ToolchainError
from bayesde.stan_runtime.embedded import Progress, build_embedded, built_embedded, compile_front_end
from bayesde.stan_runtime.locate import (
    SUPPORTED,
    CmdStanHome,
    activate,
    find_existing,
    forced_source,
    too_old_note,
)
from bayesde.stan_runtime.quiet_cmdstanpy import import_cmdstanpy
from bayesde.stan_runtime.releases import STAN_VERSION
from bayesde.stan_runtime.toolchain import EB_NEEDS_NONE, require_toolchain

__all__ = ["ensure_cmdstan", "install_stan"]

logger = logging.getLogger(__name__)

_RELEASES = "https://github.com/stan-dev/cmdstan/releases/latest"
_PATIENCE = 5.0  # seconds for the release page to answer: a blocked network must not cause a long wait


def ensure_cmdstan(progress: Progress | None = None) -> CmdStanHome:
    """Return a CmdStan, installing one if there is none, and make cmdstanpy use it.

    The order is: the user's own ($CMDSTAN, conda, cmdstanpy's folder), the embedded one if it was built
    before, a release, the embedded one. The environment variable BAYESDE_CMDSTAN (existing, release or
    embedded) allows only that one. A CmdStan that is newer than the supported versions is used with a
    warning.

    Parameters
    ----------
    progress : callable, optional
        Called with one line of text at each step that takes long.

    Returns
    -------
    CmdStanHome
        Its path, version and origin.

    Raises
    ------
    ToolchainError
        There is none and none can be installed; the message explains what to do.
    """
    forced = forced_source()
    home = None
    if forced in (None, "existing", "release"):
        home = find_existing()
    if home is None and forced in (None, "embedded"):
        home = built_embedded()
    if home is None:
        home = _install(forced == "embedded", forced, progress)
    _use(home)
    return home


def install_stan(
    force: bool = False, embedded_only: bool = False, progress: Progress | None = None
) -> CmdStanHome:
    """Prepare everything that compiling Stan programs needs, so that no later step needs the network.

    Parameters
    ----------
    force : bool
        Install again even where a CmdStan is there.
    embedded_only : bool
        Build the embedded CmdStan, whatever else there is.
    progress : callable, optional
        Called with one line of text at each step.

    Returns
    -------
    CmdStanHome
        The one that will be used.

    Raises
    ------
    ToolchainError
        None can be installed.
    """
    forced = forced_source()
    embedded_only = embedded_only or forced == "embedded"
    home = None if force or embedded_only else find_existing() or built_embedded()
    if home is None:
        home = _install(embedded_only, forced, progress, force)
    if home.source == "embedded":
        compile_front_end(home, threads=True, progress=progress)
    _use(home)
    return home


def _use(home: CmdStanHome) -> None:
    activate(home)
    if home.version_warning:
        _warn_once(home.version_warning)


@cache
def _warn_once(message: str) -> None:
    warnings.warn(message, BayesdeWarning, stacklevel=4)


def _install(
    embedded_only: bool, forced: str | None, progress: Progress | None, force: bool = False
) -> CmdStanHome:
    if forced == "existing":
        raise ToolchainError(
            f"no CmdStan {SUPPORTED} was found ($CMDSTAN, the conda environment, ~/.cmdstan), and "
            "BAYESDE_CMDSTAN=existing forbids installing one: unset it, or set CMDSTAN. "
            f"{' '.join(filter(None, (too_old_note(), EB_NEEDS_NONE)))}"
        )
    require_toolchain()
    release = None if embedded_only else _install_release(force, progress)
    if release is None and forced == "release":
        raise ToolchainError(
            "no CmdStan release could be installed, and BAYESDE_CMDSTAN=release allows nothing else: unset "
            f"it to use the embedded CmdStan. {EB_NEEDS_NONE}"
        )
    return release or build_embedded(force, progress)


def _install_release(force: bool, progress: Progress | None) -> CmdStanHome | None:
    """Install the release that bayesde was tested with; None where it cannot be reached or does not build."""
    if not _release_page_answers():
        logger.debug("%s does not answer", _RELEASES)
        return None
    say = progress or logger.info
    say("installing a release of CmdStan (some minutes, once)")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        is_installed = import_cmdstanpy().install_cmdstan(
            version=STAN_VERSION, overwrite=force, cores=os.cpu_count() or 1
        )
    logger.debug("install_cmdstan: %s", printed.getvalue())
    os.environ.pop("CMDSTAN", None)  # set by cmdstanpy to what it found; looked up again below
    found = find_existing() if is_installed else None
    if found is None:
        say("the release of CmdStan could not be installed")
        return None
    return CmdStanHome(found.path, found.version, "release")


def _release_page_answers() -> bool:
    """Check that the release page answers; in a thread, because resolving a name has no time limit."""
    answers: list[bool] = []

    def ask() -> None:
        request = urllib.request.Request(_RELEASES, method="HEAD")
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=_PATIENCE) as reply:
            answers.append(reply.status == 200)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_PATIENCE)
    return answers == [True]
