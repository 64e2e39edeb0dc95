"""The options that several commands share, and the group that turns errors into exit codes.

Declares no command and runs none: `runner.py` does.
"""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TypeVar, cast

import click

from bench.commands import ending
from bench.commands.wish import seconds, size_bytes
from bench.errors import BenchError

Command = TypeVar("Command", bound=Callable[..., object])
Wish = TypeVar("Wish")
DEFAULT_STORE = "results/store"


class Bench(click.Group):
    """Turns the errors a user can act on into one message and the exit code of their kind."""

    def invoke(self, context: click.Context) -> object:
        """Run the command; 130 when interrupted, as shells expect; 3 with a traceback when it broke."""
        ending.nothing_unprintable()
        try:
            with ending.a_bug_is_no_finding():
                return super().invoke(context)
        except BenchError as error:
            click.echo(f"bench: {error}", err=True)
            raise SystemExit(error.exit_code) from error
        except KeyboardInterrupt as error:
            kept = "; every finished row is kept, run the same command again to go on"
            click.echo(f"bench: interrupted{kept if context.invoked_subcommand == 'run' else ''}", err=True)
            raise SystemExit(130) from error


class AmountOption(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click alone
    """A number with its unit, read by one of the functions of `bench.commands.wish`."""

    def __init__(self, name: str, read: Callable[[str], float]):
        self.name, self._read = name, read

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number in base units."""
        try:
            return value if isinstance(value, (int, float)) else self._read(value)
        except ValueError as error:
            return self.fail(f"{error}.", param, ctx)


TIME, SIZE = AmountOption("30m", seconds), AmountOption("8GiB", size_bytes)


def wishing(wish: type[Wish]) -> Callable[[Callable[[Wish], None]], Callable[..., None]]:
    """Hand a command's options over as the one record whose fields they are."""

    def whole(command: Callable[[Wish], None]) -> Callable[..., None]:
        return wraps(command)(lambda **options: command(wish(**options)))

    return whole


def suites_argument(required: bool) -> Callable[[Command], Command]:
    """The suite files a command works on."""
    return click.argument("suites", nargs=-1, required=required, type=click.Path(path_type=Path), metavar="SUITE…")


def store_option(command: Command) -> Command:
    """Where the rows are: handed over as one text that carries the options which reach it."""

    @wraps(command)
    def located(*args: object, store: str, storage_option: tuple[str, ...], **options: object) -> object:
        from bench.remote import Located, options_of

        return command(*args, store=Located(store, options_of(store, storage_option)), **options)

    several = click.option(
        "--storage-option",
        multiple=True,
        metavar="KEY=VALUE",
        help="What reaches a store on object storage, e.g. endpoint=URL. May be repeated.  [default: $AWS_…]",
    )
    uri = click.option(
        "--store",
        default=DEFAULT_STORE,
        show_default=True,
        metavar="URI",
        help="Result store: a folder, a URI such as s3://bucket/results, or exported CSV.",
    )
    return cast(Command, uri(several(located)))


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")


suite_argument = click.argument(
    "suite", type=click.Path(path_type=Path), default=Path("suites/ci.toml"), metavar="[SUITE]"
)
baseline_option = click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The committed baseline.  [default: SUITE with the suffix .baseline.json]",
)
