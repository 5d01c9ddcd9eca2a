from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from proxy.cli import cli
from proxy.commands.frame import Command, CommandError
from tests.cli.conftest import CommandLine


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from leaves(found, (*path, name))
        else:
            yield (*path, name)


def command_at(path: tuple[str, ...]) -> click.Command:
    found: click.Command = cli
    for name in path:
        assert isinstance(found, click.Group)
        inner = found.get_command(click.Context(found), name)
        assert inner is not None
        found = inner
    return found


LEAVES = list(leaves(cli))


def test_every_command_of_the_design_is_there():
    groups = {
        "workspace": (
            *("create", "list", "show", "rename", "rekey", "suspend", "resume", "delete"),
            *("export", "import"),
        ),
        "token": ("create", "list", "revoke"),
        "source": ("add", "list", "show", "test", "edit", "rotate", "pool", "hosts", "remove"),
        "policy": ("show", "set", "clear", "check", "try", "history", "diff"),
        "session": ("list", "kill"),
        "audit": ("tail", "search", "verify", "export"),
        "key": ("status", "create", "rotate"),
        "workflow": (
            *("save", "list", "show", "history", "delete", "export", "import", "schema"),
            *("run", "runs", "cancel"),
        ),
        "dashboard": ("save", "list", "show", "history", "data", "delete", "schema"),
        "csv": ("export", "import", "transfers"),
    }
    expected = {f"{group} {verb}" for group, verbs in groups.items() for verb in verbs}
    expected |= {"admin serve", "admin openapi"}
    expected |= {f"admin key {verb}" for verb in ("create", "list", "revoke")}
    expected |= {f"admin staff {verb}" for verb in ("create", "list", "role", "reset", "disable")}
    expected |= {f"admin support {verb}" for verb in ("list", "end")}
    expected |= {f"admin oidc {verb}" for verb in ("set", "show", "test", "remove")}
    expected |= {f"admin oidc session {verb}" for verb in ("list", "revoke")}
    expected |= {"init", "serve", "check-config", "completion", "runner"}
    assert {" ".join(path) for path in LEAVES} == expected


@pytest.mark.parametrize(
    ("typed", "meant"), [(["sevre"], "serve"), (["workspace", "creat"], "create")], ids=str
)
def test_a_mistyped_command_is_answered_with_the_nearest_one(typed: list[str], meant: str):
    shown = CliRunner().invoke(cli, typed)
    assert shown.exit_code == 2
    assert f"Did you mean '{meant}'?" in shown.stderr


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_has_help_with_examples_of_itself(path: tuple[str, ...]):
    command = command_at(path)
    assert isinstance(command, Command)
    assert command.help
    assert command.examples
    assert any(" ".join(("accode-proxy", *path)) in example for example in command.examples)
    shown = CliRunner().invoke(cli, [*path, "--help"])
    assert shown.exit_code == 0
    for example in command.examples:
        assert example in shown.stdout


@pytest.mark.parametrize("path", [path for path in LEAVES if path != ("completion",)], ids=" ".join)
def test_every_command_takes_json_and_config(path: tuple[str, ...]):
    options = {option for entry in command_at(path).params for option in entry.opts}
    assert {"--json", "--config"} <= options


def test_no_command_takes_a_secret_as_an_argument():
    # --password-file and --tls-key name files; --public-key is public.
    harmless = {"--password-stdin", "--secret-stdin", "--no-password", "--public-key"}
    for path in LEAVES:
        for parameter in command_at(path).params:
            for option in parameter.opts:
                if any(word in option for word in ("password", "secret", "key")):
                    is_path = isinstance(parameter.type, click.Path)
                    assert is_path or option in harmless, f"{path}: {option}"


def test_the_list_of_commands_in_the_help_needs_no_import(tmp_path):
    shown = CliRunner().invoke(cli, ["--help"]).stdout
    assert all(path[0] in shown for path in LEAVES)


def test_a_mistyped_command_is_a_usage_error(command: CommandLine):
    result = command.run("workspce", "list")
    assert result.exit_code == 2
    assert "No such command" in result.stderr


def test_the_config_may_stand_before_or_behind_the_command(finance: CommandLine):
    behind = CliRunner().invoke(cli, ["workspace", "list", "--config", str(finance.file)])
    assert behind.stdout == finance.ok("workspace", "list")


def test_the_config_may_come_from_the_environment(finance: CommandLine):
    result = CliRunner().invoke(
        cli, ["workspace", "list"], env={"ACCODE_PROXY_CONFIG": str(finance.file)}
    )
    assert "finance" in result.stdout


def test_without_a_configuration_every_command_says_how_to_make_one(command: CommandLine):
    assert command.refused("workspace", "list") == (
        f"There is no configuration file {command.file}; `accode-proxy init` makes one."
    )


def test_an_unknown_key_in_the_file_is_one_sentence_with_the_nearest(line: CommandLine):
    line.file.write_text(line.file.read_text().replace("allow_private", "allow_privat"))
    assert line.refused("workspace", "list") == (
        "accode.toml: egress.allow_privat is not a setting; "
        "the nearest one is egress.allow_private."
    )


def test_an_unexpected_error_shows_its_place_and_not_its_text():
    @click.command(cls=Command)
    def broken() -> None:
        raise ValueError("correct-horse-battery")

    result = CliRunner().invoke(broken, [])
    assert result.exit_code == 1
    assert "unexpected ValueError in test_frame.py" in result.stderr
    assert "correct-horse" not in result.stderr


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("the key is gone", "The key is gone."),
        ("accode.toml: wrong.", "accode.toml: wrong."),
        ("", "The command failed."),
    ],
)
def test_an_error_is_a_sentence(given: str, shown: str):
    assert CommandError(given).message == shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(shell: str):
    result = CliRunner().invoke(cli, ["completion", shell])
    assert result.exit_code == 0
    assert "_ACCODE_PROXY_COMPLETE" in result.stdout
