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
from llmproxy.errors import LlmproxyError, SettingsError
from llmproxy.settings import Settings, walk
from llmproxy.settings.catalogue import Setting

if TYPE_CHECKING:
    from llmproxy.configuration import Configuration
    from llmproxy.service import Plan

Command = Callable[..., Any]

_OF_ALL_SERVERS = (
    "rules",
    "host",
    "port",
    "control.allowed_hosts",
    "log.format",
    "log.prompts",
)
"""Settings that are flags of every command that serves."""

_METAVARS = {"rules": "FILE"}
"""What a flag takes where that is less than its setting may be."""


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
            words = _METAVARS.get(name) or "|".join(each.choices) or each.type
            wrapped = click.option(
                each.flag,
                _variable(name),
                metavar=None if each.default is False else words,
                is_flag=each.default is False,
                multiple=each.is_list,
                default=None,
                help=f"{_sentence(each)}  [default: {each.default_text}]",
            )(wrapped)
        return wrapped

    return decorate


def _sentence(each: Setting) -> str:
    text = f"{each.help[0].upper()}{each.help[1:]}"
    return f"{text}. May be given several times." if each.is_list else text


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
@_settings(
    "record.mode",
    "record.keep_transient",
    "record.on_disconnect",
    *_OF_ALL_SERVERS,
)
def record(
    upstreams: tuple[str, ...], cassette: Path | None, config: Path | None, flags: dict[str, Any]
) -> None:
    """Forward to the real provider and keep each request and response in a cassette."""
    from llmproxy.service import Plan  # noqa: PLC0415

    load = _loading(config, flags)
    cassettes = (cassette,) if cassette else ()
    _serve(Plan("record", load(), upstreams, cassettes, os.environ, load))


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
    *_OF_ALL_SERVERS,
)
def replay(
    cassettes: tuple[Path, ...],
    upstreams: tuple[str, ...],
    config: Path | None,
    flags: dict[str, Any],
) -> None:
    """Answer from cassettes, without network or key."""
    from llmproxy.service import Plan  # noqa: PLC0415

    load = _loading(config, flags)
    _serve(Plan("replay", load(), upstreams, cassettes, os.environ, load))


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
    *_OF_ALL_SERVERS,
)
def mock(config: Path | None, flags: dict[str, Any]) -> None:
    """Answer with made-up replies in every provider's format, without cassette, network or key."""
    from llmproxy.service import Plan  # noqa: PLC0415

    load = _loading(config, flags)
    _serve(Plan("mock", load(), environment=os.environ, again=load))


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
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME:VALUE",
    help="Header of the request, for rules. May be given several times.",
)
@click.option("--session", default="default", help="Session of the request, for rules.")
@_settings("match.level", "rules")
def explain(
    request_file: Path | None,
    last: bool,
    cassettes: tuple[Path, ...],
    path: str | None,
    headers: tuple[str, ...],
    session: str,
    config: Path | None,
    flags: dict[str, Any],
) -> None:
    """Say which rule or recording answers a request, and why the others do not.

    REQUEST_FILE holds the JSON body of a request.
    """
    from llmproxy import explaining  # noqa: PLC0415

    configuration = _loading(config, flags)()
    if last == (request_file is not None):
        raise click.UsageError("give either a request file or --last")
    if last:
        text = explaining.last(configuration, cassettes)
    else:
        assert request_file is not None
        lines = tuple((each.partition(":")[0], each.partition(":")[2].strip()) for each in headers)
        text = explaining.body(configuration, request_file, cassettes, path, lines, session)
    click.echo(text)


@cli.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings around a file of rules; else proxy.yml in this folder, where there is one.",
)
@click.option("--strict", is_flag=True, help="Let warnings fail, with status 1.")
def check(file: Path | None, config: Path | None, strict: bool) -> None:
    """Say all that is wrong with settings and rules, without starting anything.

    FILE is proxy.yml, unless given; it may also be a file of rules, or the responses.yml of
    mockllm. The status is 2 where something is wrong.
    """
    from llmproxy import examining  # noqa: PLC0415

    try:
        examined = examining.check(file, config, os.environ, Path.cwd())
    except SettingsError as error:
        click.echo(str(error))
        sys.exit(error.exit_code)
    for line in examined.files:
        click.echo(line)
    for line in examined.warnings:
        click.echo(f"warning: {line}")
    sys.exit(1 if strict and examined.warnings else 0)


@cli.command()
def schema() -> None:
    """Print the JSON Schema of proxy.yml and of files of rules, for editors."""
    from llmproxy import examining  # noqa: PLC0415

    click.echo(examining.schema())


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


def _loading(config: Path | None, flags: dict[str, Any]) -> Callable[[], Configuration]:
    """Reads settings and rules, each time anew."""
    from llmproxy import configuration  # noqa: PLC0415

    return functools.partial(configuration.load, config, os.environ, flags, Path.cwd())


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
