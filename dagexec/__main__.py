"""`python -m dagexec`: the command line."""

from dagexec.cli import main

if __name__ == "__main__":
    main(prog_name="dagexec")
