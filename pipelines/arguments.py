"""How the commands read their flags, and values that several of them take."""

import argparse
from datetime import date
from typing import Any, NoReturn

from configs.settings import UserError


class Parser(argparse.ArgumentParser):
    """The parser of a command, such as ``topics fit``; a mistake is one line, as any other."""

    def __init__(self, command: str, **options: Any):
        super().__init__(prog=f"wirewatch {command}", allow_abbrev=False, **options)
        self._command = command

    def error(self, message: str) -> NoReturn:
        """Raises UserError with what argparse has found, and where there is help."""
        raise UserError(f"{self._command}: {message}; see {self.prog} --help")


def day(text: str) -> date:
    """A day in ISO 8601."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day: YYYY-MM-DD") from None
