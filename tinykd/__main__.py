"""`python -m tinykd`, where the command `tinykd` is not on the path."""

from .classroom.cli import app

app(prog_name="tinykd")
