"""``python -m bayesde`` is the command line, ``bayesde``."""

from bayesde.cli import main

if __name__ == "__main__":
    main()
