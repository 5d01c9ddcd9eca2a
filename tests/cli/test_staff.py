import json

from proxy.administration.staff import INVITATION_PREFIX
from proxy.store import parse_token
from tests.cli.conftest import CommandLine


def test_a_person_is_invited_listed_reset_and_disabled(finance: CommandLine):
    made = finance.value("admin", "staff", "create", "ada", "--role", "owner")
    assert parse_token(made["invitation"], prefix=INVITATION_PREFIX)
    (listed,) = finance.value("admin", "staff", "list")
    assert (listed["name"], listed["role"], listed["state"]) == ("ada", "owner", "invited")
    assert made["invitation"][15:] not in json.dumps(listed) + finance.ok("admin", "staff", "list")
    again = finance.value("admin", "staff", "reset", "ada", "--yes")
    assert again["invitation"] != made["invitation"]
    assert finance.value("admin", "staff", "disable", "ada", "--yes")["state"] == "disabled"
    told = [
        record["message"]
        for record in finance.records()
        if record["class_uid"] == 3001 and record["status_id"] == 1
    ]
    assert told == [f"Staff account: {one}" for one in ("create", "reset", "disable")]
    assert made["invitation"] not in json.dumps(finance.records())


def test_a_person_is_given_another_role(finance: CommandLine):
    finance.ok("admin", "staff", "create", "ada", "--role", "owner")
    assert "--yes" in finance.refused("admin", "staff", "role", "ada", "--role", "auditor")
    changed = finance.value("admin", "staff", "role", "ada", "--role", "auditor", "--yes")
    assert changed["role"] == "auditor"
    assert finance.value("admin", "staff", "list")[0]["role"] == "auditor"


def test_a_rotation_of_the_key_takes_the_people_along(finance: CommandLine):
    finance.ok("admin", "staff", "create", "ada", "--role", "owner")
    before = finance.value("key", "status")
    rotated = finance.value("key", "rotate", "--retire", "--yes")
    assert rotated["rewrapped"] == before["root_keys"] == 2
    assert finance.value("key", "status")["stale_root_keys"] == 0


def test_a_person_has_a_role_and_a_name_of_its_own(finance: CommandLine):
    assert finance.run("admin", "staff", "create", "ada").exit_code == 2
    finance.ok("admin", "staff", "create", "ada", "--role", "support")
    said = finance.refused("admin", "staff", "create", "ada", "--role", "owner")
    assert "not given out again" in said
    assert "--yes" in finance.refused("admin", "staff", "reset", "ada")
    said = finance.refused("admin", "staff", "disable", "nobody", "--yes")
    assert said == "There is no staff account of that name."
    assert finance.run("admin", "key", "create", "--role", "support").exit_code == 2
