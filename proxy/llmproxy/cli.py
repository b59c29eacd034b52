"""The command line. Heavy modules are imported by the command that needs them.

Options that are settings take their help and their default from the settings; what a user
typed is checked in one place, with the file and the environment, so all mistakes come at
once.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llmproxy import __version__
from llmproxy.errors import LlmproxyError
from llmproxy.settings import Settings, load, walk

if TYPE_CHECKING:
    from llmproxy.service import Plan

Command = Callable[..., Any]


def _settings(*names: str) -> Callable[[Command], Command]:
    """Options for settings, and ``--config``; the command gets them as one dict ``flags``."""
    known = {each.name: each for each in walk(Settings())}

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(config: Path | None, **given: Any) -> Any:
            flags = {name: given.pop(_variable(name)) for name in names}
            return command(config=config, flags=flags, **given)

        wrapped: Command = click.option(
            "--config",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Settings file; else proxy.yml in this folder, where there is one.",
        )(run)
        for name in reversed(names):
            each = known[name]
            words = "|".join(each.choices) or each.type
            wrapped = click.option(
                each.flag,
                _variable(name),
                metavar=None if each.default is False else words,
                is_flag=each.default is False,
                default=None,
                help=f"{each.help[0].upper()}{each.help[1:]}  [default: {each.default_text}]",
            )(wrapped)
        return wrapped

    return decorate


def _variable(name: str) -> str:
    return name.replace(".", "_")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="llmproxy")
def cli() -> None:
    """Record LLM APIs once, replay them for ever: the same bytes, the same chunks, the same rhythm.

    Point the app under test at llmproxy (OPENAI_BASE_URL, ANTHROPIC_BASE_URL, …) and change
    nothing else.
    """


@cli.command()
@click.option(
    "--upstream",
    "upstreams",
    multiple=True,
    required=True,
    metavar="NAME|URL|NAME=URL",
    help="Where requests go: openai, anthropic, gemini, …, a URL, or a name of your own for one."
    " May be given several times.",
)
@click.option(
    "--cassette",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to record to; made where it is not there.  [default: cassettes/runN.db, the next free N]",
)
@_settings("record.mode", "record.keep_transient", "record.on_disconnect", "host", "port")
def record(
    upstreams: tuple[str, ...], cassette: Path | None, config: Path | None, flags: dict[str, Any]
) -> None:
    """Forward to the real provider and keep each request and response in a cassette."""
    from llmproxy.service import Plan  # noqa: PLC0415

    settings = _load(config, flags)
    cassettes = (cassette,) if cassette else ()
    _serve(Plan("record", settings, upstreams, cassettes, os.environ))


@cli.command()
@click.argument("cassettes", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--upstream",
    "upstreams",
    multiple=True,
    metavar="NAME|URL|NAME=URL",
    help="Where a miss goes with --on-miss forward.",
)
@_settings(
    "replay.on_miss",
    "replay.pace",
    "max_pause",
    "replay.repeat",
    "match.level",
    "host",
    "port",
)
def replay(
    cassettes: tuple[Path, ...],
    upstreams: tuple[str, ...],
    config: Path | None,
    flags: dict[str, Any],
) -> None:
    """Answer from cassettes, without network or key."""
    from llmproxy.service import Plan  # noqa: PLC0415

    settings = _load(config, flags)
    _serve(Plan("replay", settings, upstreams, cassettes, os.environ))


@cli.command()
@_settings(
    "mock.style",
    "mock.text",
    "mock.response_length",
    "mock.tool_calls",
    "mock.seed",
    "mock.validation",
    "pace.ttft",
    "pace.tokens_per_second",
    "pace.jitter",
    "pace.like",
    "host",
    "port",
)
def mock(config: Path | None, flags: dict[str, Any]) -> None:
    """Answer with made-up replies in every provider's format, without cassette, network or key."""
    from llmproxy.service import Plan  # noqa: PLC0415

    settings = _load(config, flags)
    _serve(Plan("mock", settings, environment=os.environ))


@cli.command()
@click.argument("request_file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--last", is_flag=True, help="Explain the last request that missed.")
@click.option(
    "--cassette",
    "cassettes",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Cassette to compare with; for --last those of the miss, unless given.",
)
@click.option("--path", help="Path of the request, such as /v1/chat/completions.")
@_settings("match.level")
def explain(
    request_file: Path | None,
    last: bool,
    cassettes: tuple[Path, ...],
    path: str | None,
    config: Path | None,
    flags: dict[str, Any],
) -> None:
    """Say why a request matches no recording, or which one it matches.

    REQUEST_FILE holds the JSON body of a request.
    """
    from llmproxy import explaining  # noqa: PLC0415

    settings = _load(config, flags)
    if last == (request_file is not None):
        raise click.UsageError("give either a request file or --last")
    if last:
        text = explaining.last(settings, cassettes)
    else:
        assert request_file is not None
        text = explaining.body(settings, request_file, cassettes, path)
    click.echo(text)


@cli.group()
def cassette() -> None:
    """Look into cassettes."""


@cassette.command("ls")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def cassette_ls(files: tuple[Path, ...]) -> None:
    """List the interactions of cassettes, a line each."""
    from llmproxy import terminal  # noqa: PLC0415
    from llmproxy.cassette import Cassette  # noqa: PLC0415

    for file in files:
        opened = Cassette(file)
        click.echo(f"{file}: {opened.count} interaction{'s' * (opened.count != 1)}")
        for line in terminal.listing(list(opened.entries())):
            click.echo("  " + line)
        opened.close()


@cassette.command("show")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("id", type=int, required=False)
def cassette_show(file: Path, id: int | None) -> None:
    """Show one interaction, with a picture of its rhythm; without ID, the rhythm of each."""
    import shutil  # noqa: PLC0415

    from llmproxy import terminal  # noqa: PLC0415
    from llmproxy.cassette import Cassette  # noqa: PLC0415

    opened = Cassette(file)
    width = min(shutil.get_terminal_size((80, 24)).columns, 120)
    if id is not None:
        click.echo("\n".join(terminal.interaction(opened.load(id), width)))
        return
    for each in opened.interactions():
        click.echo(terminal.safe(f"#{each.id}  {each.request.method} {each.request.path}"))
        click.echo("\n".join(terminal.rhythm(each.response, width)) + "\n")


def _load(config: Path | None, flags: dict[str, Any]) -> Settings:
    return load(config, os.environ, flags, Path.cwd()).settings


def _serve(plan: Plan) -> None:
    from llmproxy import running  # noqa: PLC0415

    sys.exit(running.run(plan, _say))


def _say(text: str) -> None:
    click.echo(text)
    sys.stdout.flush()


def main() -> None:
    """The console script: our own errors become a line and an exit status, no traceback."""
    try:
        cli(standalone_mode=True)
    except LlmproxyError as error:
        click.echo(f"llmproxy: {error}", err=True)
        sys.exit(error.exit_code)
