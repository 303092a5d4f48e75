"""``dispatcher completions``: the script that makes a shell complete our commands, from their own parsers.

One table of words is made of argparse's parsers; each shell gets it in its own form. Nothing is asked of the
program while a user types.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from dispatcher.cli.exits import Exit

FILES: Final = ("FILE", "FILE.csv", "PLAN.csv", "STORE", "DIR")
"""Names of values that are files or folders, as the commands write them."""


class Option(NamedTuple):
    """One name of an option, or an argument without one (then `name` is empty)."""

    name: str
    help: str
    values: tuple[str, ...]
    """What may follow it; empty: anything."""
    takes_value: bool
    is_file: bool


class Words(NamedTuple):
    """What may follow ``dispatcher PATH``."""

    path: tuple[str, ...]
    subcommands: tuple[tuple[str, str], ...]
    """With their help."""
    options: tuple[Option, ...]


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "completions",
        help="print what makes a shell complete these commands",
        description="Print the script for a shell. bash: eval it in ~/.bashrc, or save it as "
        "~/.local/share/bash-completion/completions/dispatcher; zsh: save it as _dispatcher in a folder of "
        "$fpath; fish: save it as ~/.config/fish/completions/dispatcher.fish.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("shell", choices=("bash", "fish", "zsh"), metavar="SHELL", help="bash, fish or zsh")


def run(given: argparse.Namespace) -> int:
    """Run the command."""
    print("\n".join({"bash": bash, "fish": fish, "zsh": zsh}[given.shell](table())))
    return Exit.OK


def table() -> list[Words]:
    """Return the words of every command, those of ``dispatcher`` itself first."""
    from dispatcher.cli.commands import COMMANDS, names, parser_of

    helps = {each.name: each.help for group in COMMANDS.values() for each in group}
    return list(words_of(parser_of(*names()), (), helps))


def words_of(
    parser: argparse.ArgumentParser, path: tuple[str, ...], helps: dict[str, str]
) -> Iterator[Words]:
    """Yield the words of a parser, then of those below it. `helps`: of its sub-commands, by name."""
    options: list[Option] = []
    below: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            below = dict(action.choices)
            helps = helps or {each.dest: each.help or "" for each in action._choices_actions}
            continue
        said = (action.help or "").replace("%%", "%").replace("\n", " ")
        is_file = isinstance(action.metavar, str) and action.metavar in FILES
        values = tuple(map(str, action.choices or ()))
        names = action.option_strings or ("",)
        options += [Option(name, said, values, action.nargs != 0, is_file) for name in names]
    yield Words(path, tuple((name, helps.get(name, "")) for name in below), tuple(options))
    for name, each in below.items():
        yield from words_of(each, (*path, name), {})


# ---- bash ----


def bash(words: Iterable[Words]) -> Iterator[str]:
    """Yield the lines for bash 4."""
    yield '# bash completion for dispatcher: `eval "$(dispatcher completions bash)"`'
    yield "_dispatcher() {"
    yield "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}"
    yield '    local path="" each words="" files=""'
    paths = list(words)
    known = " | ".join(f'"{" ".join(each.path)}"' for each in paths if each.path)
    yield '    for each in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do'
    yield f'        case "${{path:+$path }}$each" in {known}) path="${{path:+$path }}$each" ;; esac'
    yield "    done"
    yield '    case "$path $before" in'
    for each in paths:
        for option in each.options:
            if option.name and option.takes_value:
                then = "files=yes" if option.is_file else "return"
                if option.values:
                    then = f"words={shlex.quote(' '.join(option.values))}"
                yield f'            "{" ".join(each.path)} {option.name}") {then} ;;'
    yield "        *)"
    yield '            case "$path" in'
    for each in paths:
        listed = [name for name, _ in each.subcommands]
        listed += [option.name for option in each.options if option.name]
        listed += [value for option in each.options if not option.name for value in option.values]
        files = " files=yes" if any(option.is_file and not option.name for option in each.options) else ""
        yield f'                "{" ".join(each.path)}") words={shlex.quote(" ".join(listed))}{files} ;;'
    yield "            esac ;;"
    yield "    esac"
    yield '    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word"'
    yield '        [[ -z $files ]] || compgen -f -- "$word")'
    yield "}"
    yield "complete -o filenames -F _dispatcher dispatcher"


# ---- fish ----


def fish(words: Iterable[Words]) -> Iterator[str]:
    """Yield the lines for fish 3."""
    yield "# fish completion for dispatcher"
    yield "complete -c dispatcher -f"
    for each in words:
        seen = "; and ".join(f"__fish_seen_subcommand_from {name}" for name in each.path)
        inner = " ".join(name for name, _ in each.subcommands)
        for name, said in each.subcommands:
            here = f"{seen}; and not __fish_seen_subcommand_from {inner}" if seen else "__fish_use_subcommand"
            yield f"complete -c dispatcher -n {_quoted(here)} -a {name} -d {_quoted(said)}"
        condition = f" -n {_quoted(seen)}" if seen else " -n __fish_use_subcommand"
        for option in each.options:
            values = f" -x -a {_quoted(' '.join(option.values))}" if option.values else ""
            takes = (" -r -F" if option.is_file else " -x") if option.takes_value and not values else ""
            if option.name:
                kind = f"-l {option.name[2:]}" if option.name.startswith("--") else f"-s {option.name[1:]}"
                yield f"complete -c dispatcher{condition} {kind}{values}{takes} -d {_quoted(option.help)}"
            elif values or option.is_file:
                what = f" -a {_quoted(' '.join(option.values))}" if values else " -F"
                yield f"complete -c dispatcher{condition}{what}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


# ---- zsh ----


def zsh(words: Iterable[Words]) -> Iterator[str]:
    """Yield the lines for zsh 5: one function a command."""
    yield "#compdef dispatcher"
    for each in words:
        yield f"_{'_'.join(('dispatcher', *each.path))}() {{"
        yield "    local line state"
        specs = [shlex.quote(_zsh_option(option)) for option in each.options if option.name]
        specs += [f"'*:{_zsh_value(option)}'" for option in each.options if not option.name][:1]
        if each.subcommands:
            specs += ["'1: :->command'", "'*::: :->rest'"]
        yield "    _arguments -C " + " \\\n        ".join(specs)
        if each.subcommands:
            listed = " ".join(shlex.quote(f"{name}:{said}") for name, said in each.subcommands)
            yield "    case $state in"
            yield f"        command) local -a commands=({listed}); _describe command commands ;;"
            prefix = "_".join(("_dispatcher", *each.path))
            yield f"        rest) (( $+functions[{prefix}_$line[1]] )) && {prefix}_$line[1] ;;"
            yield "    esac"
        yield "}"
    yield 'if [ "$funcstack[1]" = "_dispatcher" ]; then'
    yield '    _dispatcher "$@"'
    yield "else"
    yield "    compdef _dispatcher dispatcher"
    yield "fi"


def _zsh_option(option: Option) -> str:
    said = "".join(f"\\{mark}" if mark in "[]\\:" else mark for mark in option.help)
    return f"*{option.name}[{said}]" + (f":{_zsh_value(option)}" if option.takes_value else "")


def _zsh_value(option: Option) -> str:
    if option.values:
        return f" :({' '.join(option.values)})"
    return " :_files" if option.is_file else " : "
