"""What every command has: ``--config``, ``--json``, examples, and one-sentence errors.

Knows click and which exceptions are written to be shown. Must never show another
exception's text: it may quote a secret.
"""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Concatenate, ParamSpec

import click

from proxy.commands import display

if TYPE_CHECKING:
    from proxy.config import Config

P = ParamSpec("P")

DEFAULT_FILE = "accode.toml"
_CONFIG_KEY = "config"


class CommandError(click.ClickException):
    """A command cannot do what was asked; one sentence on stderr, exit code 1."""

    def __init__(self, sentence: str) -> None:
        super().__init__(_as_sentence(sentence))

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it."""
        click.echo(f"Error: {display.printable(self.message)}", err=True, file=file)


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of a command: where its configuration is, and how to answer."""

    file: Path
    as_json: bool

    def config(self) -> Config:
        """The configuration, read now. Raises ConfigError."""
        import os

        from proxy.config import load_config

        return load_config(self.file, os.environ)

    def read_config(self) -> tuple[Config, str]:
        """The same, and the file's text. Raises ConfigError."""
        import os

        from proxy.config import read_config

        return read_config(self.file, os.environ)

    def show(self, value: object, text: str) -> None:
        """Answer with the value as JSON where --json was given, else with the text."""
        if self.as_json:
            click.echo(display.to_json(value))
        elif text:
            click.echo(text)

    def note(self, text: str) -> None:
        """Something for a person to read, on stderr, so that it is in no pipe."""
        click.echo(display.printable(text), err=True)

    def confirm(self, question: str, *, is_confirmed: bool) -> None:
        """Ask before something that ends or removes. Raises CommandError for a no."""
        if is_confirmed:
            return
        if not sys.stdin.isatty():
            raise CommandError(f"{question} Nobody can be asked here: add --yes to do it")
        if not click.confirm(question, err=True):
            raise CommandError("Nothing was changed")


class Command(click.Command):
    """A click command with examples, that translates what may go wrong."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, one a line."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; every failure becomes one sentence."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            raise _translated(error) from error


class Group(click.Group):
    """A group whose commands are ``Command``s."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("no_args_is_help", True)
        super().__init__(*args, **kwargs)


class LazyGroup(Group):
    """A group whose commands are imported when they are needed: help stays quick.

    ``places`` maps a command's name to the module and the attribute that hold it, and to
    one line of help, which is thereby known without an import.
    """

    def __init__(self, *args: Any, places: dict[str, tuple[str, str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = places

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, place[2]) for name, place in self._places.items()])

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of the map."""
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in self._places:
            return None
        module, attribute, _ = self._places[cmd_name]
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that was typed; the error names the nearest one of the map."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(
                error.command_name, possibilities=self._places, ctx=ctx
            ) from None


def everywhere(function: Callable[Concatenate[Invocation, P], None]) -> Callable[P, None]:
    """Give a command ``--config`` and ``--json``, and call it with an ``Invocation``."""

    @click.option(
        "--config",
        "file",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="ACCODE_PROXY_CONFIG",
        help=f"The configuration file.  [default: {DEFAULT_FILE}]",
    )
    @click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        options: dict[str, Any] = kwargs
        root = click.get_current_context().find_root()
        file = options.pop("file") or root.meta.get(_CONFIG_KEY) or Path(DEFAULT_FILE)
        invocation = Invocation(file, options.pop("as_json"))
        function(invocation, *args, **kwargs)

    return call


def remember_config(context: click.Context, file: Path | None) -> None:
    """Keep the ``--config`` that stood before the command's name."""
    if file is not None:
        context.find_root().meta[_CONFIG_KEY] = file


def _translated(error: Exception) -> CommandError:
    from proxy.config import ConfigError
    from proxy.control import ControlError
    from proxy.sockets import PortError

    if isinstance(error, ConfigError | ControlError | PortError):
        return CommandError(str(error))
    if isinstance(error, OSError):
        name = f" ({error.filename})" if isinstance(error.filename, str) else ""
        silent = "no answer in time" if isinstance(error, TimeoutError) else "the system refused"
        return CommandError(f"{error.strerror or silent}{name}")
    if type(error).__module__.partition(".")[0] in ("proxy", "vault", "policies", "protocols"):
        # Our own exceptions are one clear sentence without a secret, by their contract.
        return CommandError(str(getattr(error, "public", "") or error))
    place = traceback.extract_tb(error.__traceback__)[-1]
    return CommandError(
        f"an unexpected {type(error).__name__} in {Path(place.filename).name} line "
        f"{place.lineno}; this is a bug of accode-proxy"
    )


def _as_sentence(text: str) -> str:
    text = text.strip() or "the command failed"
    # "psql" and "accode.toml: ..." keep their first letter; a sentence gets a capital.
    first = text.split(maxsplit=1)[0]
    if first.isalpha() and first.islower():
        text = text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."
