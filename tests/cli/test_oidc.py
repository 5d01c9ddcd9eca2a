import json

from tests.cli.conftest import CommandLine

SET = (
    *("admin", "oidc", "set", "finance", "--issuer", "https://localhost:1/realm"),
    *("--client-id", "accode", "--redirect-uri", "https://console.example.com/back"),
    *("--claim", "groups", "--allow", "admins", "--allow", "owners"),
)
SECRET = "s3cret of the client"


def test_a_provider_is_set_shown_changed_and_removed(finance: CommandLine):
    made = finance.value(*SET, "--secret-stdin", stdin=SECRET + "\n")
    assert (made["claim"], made["allowed"]) == ("groups", ["admins", "owners"])
    assert (made["scopes"], made["session_minutes"]) == (["openid", "email"], 480)
    assert finance.value("admin", "oidc", "show", "finance") == made
    # What is not named stays, the secret too.
    change = ("admin", "oidc", "set", "finance", "--session-minutes", "60", "--scope", "openid")
    changed = finance.value(*change)
    assert changed["set_at"] > made["set_at"]
    same = made | {"session_minutes": 60, "scopes": ["openid"], "set_at": changed["set_at"]}
    assert changed == same
    shown = finance.ok("admin", "oidc", "show", "finance")
    assert "https://localhost:1/realm" in shown
    finance.ok("admin", "oidc", "remove", "finance", "--yes")
    said = finance.refused("admin", "oidc", "show", "finance")
    assert said == "Workspace finance has no identity provider."
    told = [
        record
        for record in finance.records()
        if record["class_uid"] == 3004 and record["status_id"] == 1
    ]
    assert [one["entity"]["type"] for one in told[-3:]] == ["identity provider"] * 3
    assert SECRET not in json.dumps(finance.records()) + shown + json.dumps(made)


def test_a_secret_comes_by_stdin_or_file_and_belongs_to_its_issuer(finance: CommandLine):
    assert "secret" in finance.refused(*SET)
    file = finance.folder / "secret.txt"
    file.write_text(SECRET)
    assert "chmod 600" in finance.refused(*SET, "--secret-file", str(file))
    file.chmod(0o600)
    finance.ok(*SET, "--secret-file", str(file))
    moved = ("admin", "oidc", "set", "finance", "--issuer", "https://evil.example")
    assert "needs the client's secret" in finance.refused(*moved)
    assert "mask" in finance.refused(*SET, "--secret-stdin", stdin="******\n")
    assert "ASCII" in finance.refused(*SET, "--secret-stdin", stdin="é".encode())
    assert finance.run(*SET, "--secret", SECRET).exit_code == 2


def test_what_is_missing_or_wrong_is_named(finance: CommandLine):
    result = finance.run("admin", "oidc", "set", "finance", "--issuer", "https://idp.example")
    assert result.exit_code == 2
    assert "--client-id, --redirect-uri, --claim, --allow" in result.stderr
    said = finance.refused(*SET, "--session-minutes", "0", "--secret-stdin", stdin=SECRET)
    assert "session_minutes" in said
    assert "no workspace" in finance.refused("admin", "oidc", "show", "nowhere")


def test_a_provider_that_cannot_be_reached_is_told_by_its_test(finance: CommandLine):
    finance.ok(*SET, "--secret-stdin", stdin=SECRET)
    said = finance.refused("admin", "oidc", "test", "finance")
    assert said == "The identity provider cannot be reached."


def test_authorities_that_cannot_be_read_are_named(finance: CommandLine):
    finance.ok(*SET, "--secret-stdin", stdin=SECRET)
    file = finance.folder / "authorities.pem"
    with finance.file.open("a") as config:
        config.write(f'\n[admin]\noidc_ca = "{file}"\n')
    for text in (None, "no certificate"):
        if text is not None:
            file.write_text(text)
        said = finance.refused("admin", "oidc", "test", "finance")
        assert said == f"admin.oidc_ca: {file} cannot be read as certificates in PEM."


def test_there_are_no_sessions_before_somebody_logs_in(finance: CommandLine):
    finance.ok(*SET, "--secret-stdin", stdin=SECRET)
    assert finance.value("admin", "oidc", "session", "list", "finance") == []
    said = finance.refused("admin", "oidc", "session", "revoke", "finance", "x", "--yes")
    assert said == "There is no such session."
