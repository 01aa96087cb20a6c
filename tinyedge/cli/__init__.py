"""The command line: one file a command, each of which parses, calls one function of the library and prints."""

from tinyedge.cli.app import main

__all__ = ["main"]
