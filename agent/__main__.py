"""`python -m agent`: the command line, where the `segscout` command is not on the path."""

from agent.cli import main

if __name__ == "__main__":
    main()
