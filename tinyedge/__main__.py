"""`python -m tinyedge` is `tinyedge`."""

from tinyedge.cli import main

if __name__ == "__main__":
    main()
