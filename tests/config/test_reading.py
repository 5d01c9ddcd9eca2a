from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config import Config, ConfigError, load_config, parse_config
from proxy.parts import store_file

FOLDER = Path("/srv/accode")


def parsed(settings: dict[str, Any] | None = None, **environment: str) -> Config:
    return parse_config(settings or {}, environment, folder=FOLDER, file=FOLDER / "accode.toml")


def refused(settings: dict[str, Any] | None = None, **environment: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parsed(settings, **environment)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def test_nothing_at_all_gives_one_listener_on_loopback_and_paths_beside_the_file():
    config = parsed()
    (listener,) = config.listeners
    assert (listener.protocol, listener.host, listener.port) == ("postgres", "127.0.0.1", 6432)
    assert listener.plaintext == "loopback"
    assert config.audit.folder == FOLDER / "audit"
    assert config.keys.file == FOLDER / "keys/local.key"
    assert config.store.url == "sqlite+aiosqlite:////srv/accode/data/accode.db"
    assert config.egress.allow_private is False


def test_a_mysql_listener_has_a_port_of_its_own():
    settings = {"listeners": [{"protocol": "postgres"}, {"protocol": "mysql"}]}
    assert [one.port for one in parsed(settings).listeners] == [6432, 6433]
    assert parsed({"listeners": [{"protocol": "mysql", "port": 7000}]}).listeners[0].port == 7000
    assert parsed(ACCODE_PROXY_LISTENERS__0__PROTOCOL="mysql").listeners[0].port == 6433


def test_a_mysql_listener_has_a_version_to_show():
    (listener,) = parsed(
        {"listeners": [{"protocol": "mysql", "server_version": "5.7.44-x", "local_infile": True}]}
    ).listeners
    assert (listener.server_version, listener.local_infile) == ("5.7.44-x", True)
    for wrong in ("eight", "8.0", "8.0.36 x", "8.0.1" + "x" * 99):
        listener_with = {"protocol": "mysql", "server_version": wrong}
        assert "must begin with three numbers" in refused({"listeners": [listener_with]})


def test_a_mysql_listener_may_compress():
    def offered(**settings: Any) -> tuple[str, ...]:
        return parsed({"listeners": [{"protocol": "mysql"} | settings]}).listeners[0].compression

    assert offered() == ()
    assert offered(compression=["zstd", "zlib", "zstd"]) == ("zlib", "zstd")
    for wrong in (["lz4"], "zlib", [1], [["zlib"]], True):
        bad = {"protocol": "mysql", "compression": wrong}
        assert "some of zlib, zstd" in refused({"listeners": [bad]})
    (listener,) = parsed(
        ACCODE_PROXY_LISTENERS__0__PROTOCOL="mysql",
        ACCODE_PROXY_LISTENERS__0__COMPRESSION="zlib, zstd",
    ).listeners
    assert listener.compression == ("zlib", "zstd")


@pytest.mark.parametrize(
    "setting", [{"server_version": "8.0.36"}, {"local_infile": True}, {"compression": ["zlib"]}]
)
def test_what_is_mysqls_is_refused_elsewhere(setting: dict[str, Any]):
    assert "are settings of a mysql listener" in refused({"listeners": [setting]})


def test_the_key_file_is_not_beside_the_store_by_default():
    assert parsed().keys.file.parent != FOLDER / "data"


def test_relative_paths_are_relative_to_the_file_and_absolute_ones_stay():
    config = parsed({"audit": {"folder": "log"}, "keys": {"file": "/etc/accode/kek"}})
    assert config.audit.folder == FOLDER / "log"
    assert config.keys.file == Path("/etc/accode/kek")


def test_a_length_of_time_is_seconds_or_text_with_a_unit():
    config = parsed({"limits": {"idle_timeout": "2h", "login_deadline": 5}})
    assert (config.limits.idle_timeout, config.limits.login_deadline) == (7_200, 5)


def test_zero_switches_a_timeout_off_where_that_is_allowed_and_nowhere_else():
    assert parsed({"limits": {"idle_timeout": 0}}).limits.idle_timeout == 0
    assert "limits.login_deadline must be from 0.5" in refused({"limits": {"login_deadline": 0}})


def test_ports_are_numbers_and_ranges():
    config = parsed({"egress": {"ports": [5432, "6000-6999"]}})
    assert config.egress.ports == ((5432, 5432), (6000, 6999))


def test_the_environment_wins_over_the_file():
    config = parsed({"audit": {"folder": "log"}}, ACCODE_PROXY_AUDIT__FOLDER="/var/audit")
    assert config.audit.folder == Path("/var/audit")


def test_the_environment_is_read_by_the_settings_type():
    config = parsed(
        ACCODE_PROXY_EGRESS__ALLOW_PRIVATE="true",
        ACCODE_PROXY_EGRESS__PORTS="5432,7000-7010",
        ACCODE_PROXY_LIMITS__SESSIONS="12",
        ACCODE_PROXY_LIMITS__IDLE_TIMEOUT="90",
        ACCODE_PROXY_LIMITS__SESSION_TIMEOUT="1h",
        ACCODE_PROXY_LISTENERS__0__PORT="7000",
    )
    assert config.egress.allow_private is True
    assert config.egress.ports == ((5432, 5432), (7000, 7010))
    assert config.limits.sessions == 12
    assert (config.limits.idle_timeout, config.limits.session_timeout) == (90, 3_600)
    assert config.listeners[0].port == 7000


def test_what_kubernetes_puts_beside_a_service_of_our_name_is_no_setting():
    parsed(
        ACCODE_PROXY_SERVICE_HOST="10.0.0.1",
        ACCODE_PROXY_SERVICE_PORT="6432",
        ACCODE_PROXY_SERVICE_PORT_POSTGRES="6432",
        ACCODE_PROXY_PORT="tcp://10.0.0.1:6432",
        ACCODE_PROXY_PORT_6432_TCP="tcp://10.0.0.1:6432",
        ACCODE_PROXY_PORT_6432_TCP_ADDR="10.0.0.1",
        ACCODE_PROXY_CONFIG="accode.toml",
    )


@pytest.mark.parametrize(
    ("settings", "place", "nearest"),
    [
        ({"audit": {"foldr": 1}}, "audit.foldr", "audit.folder"),
        ({"adit": {}}, "adit", "audit"),
        ({"allow_private": True}, "allow_private", "egress.allow_private"),
        ({"limits": {"idle_time_out": 1}}, "limits.idle_time_out", "limits.idle_timeout"),
        ({"listeners": [{}, {"prot": 1}]}, "listeners.1.prot", "listeners.1.port"),
        ({"listener": [{}]}, "listener", "listeners"),
    ],
)
def test_an_unknown_key_names_its_place_and_the_nearest_known_one(
    settings: dict[str, Any], place: str, nearest: str
):
    assert refused(settings) == (
        f"accode.toml: {place} is not a setting; the nearest one is {nearest}."
    )


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("ACCODE_PROXY_AUDIT_FOLDER", "ACCODE_PROXY_AUDIT__FOLDER"),
        ("ACCODE_PROXY_AUDIT__FOLDR", "ACCODE_PROXY_AUDIT__FOLDER"),
        ("ACCODE_PROXY_LISTENERS__0__PROT", "ACCODE_PROXY_LISTENERS__0__PORT"),
    ],
)
def test_an_unknown_variable_names_the_nearest_known_one(variable: str, nearest: str):
    assert refused({}, **{variable: "x"}) == (
        f"the environment: {variable} is not a setting; the nearest one is {nearest}."
    )


def test_a_variable_for_a_listener_that_is_not_there_is_refused():
    assert "does not have" in refused(ACCODE_PROXY_LISTENERS__3__PORT="1")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"audit": 3}, "audit must be a table"),
    ({"listeners": {}}, "listeners must be tables"),
    ({"listeners": []}, "from 1 to 64 listeners"),
    ({"listeners": [{"port": "x"}]}, "listeners.0.port must be a whole number from 0 to 65535"),
    ({"listeners": [{"port": 70_000}]}, "listeners.0.port must be from 0 to 65535"),
    ({"listeners": [{"port": True}]}, "listeners.0.port must be a whole number"),
    ({"listeners": [{"protocol": "oracle"}]}, "listeners.0.protocol must be one of postgres"),
    ({"listeners": [{"host": "a b"}]}, "must be an IP address or a host name"),
    ({"listeners": [{"host": "[::1]:5"}]}, "must be an IP address or a host name"),
    ({"listeners": [{"tls_profile": "legacy"}]}, "must be one of intermediate, modern"),
    ({"listeners": [{"tls_certificate": "a"}]}, "both tls_certificate and tls_key"),
    ({"listeners": [{"plaintext": "never"}]}, "nobody could log in"),
    ({"listeners": [{}, {}]}, "have the same host and port"),
    ({"metrics": {"port": 6432}}, "have the same host and port"),
    ({"egress": {"allow_private": "yes"}}, "egress.allow_private must be true or false"),
    ({"egress": {"ports": []}}, "must be a list of 1 to 64 ports"),
    ({"egress": {"ports": ["9-1"]}}, "the lower one of a range first"),
    ({"egress": {"ports": [0]}}, "from 1 to 65535"),
    ({"egress": {"ports": [1.5]}}, "must hold ports"),
    ({"limits": {"sessions": 0}}, "limits.sessions must be from 1"),
    ({"limits": {"idle_timeout": "5"}}, "limits.idle_timeout must be a number with a unit"),
    ({"limits": {"idle_timeout": "500d"}}, "(or 0 for no limit)"),
    ({"limits": {"idle_timeout": float("nan")}}, "limits.idle_timeout must be from"),
    ({"limits": {"drain_deadline": []}}, "must be a number of seconds"),
    ({"limits": {"pending_logins": 1}}, "must not be more than"),
    ({"store": {"url": "mysql://x"}}, "store.url must start with sqlite:/// or postgresql://"),
    ({"store": {"url": "sqlite://"}}, "must name the database file"),
    ({"store": {"url": "sqlite:///:memory:"}}, "must name the database file"),
    ({"keys": {"file": ""}}, "keys.file must name a path"),
    ({"audit": {"folder": 7}}, "audit.folder must be text"),
    ({"audit": {"folder": "a\0b"}}, "must not hold control characters"),
    ({"audit": {"folder": "a" * 5_000}}, "at most 4096 characters"),
    ({"audit": {"checkpoint_interval": 61}}, "from 1 to 60 seconds"),
    ({"logs": {"level": "trace"}}, "must be one of debug, info, warning, error"),
]


@pytest.mark.parametrize(("settings", "words"), WRONG)
def test_a_wrong_value_is_one_clear_sentence_with_its_place(settings: dict[str, Any], words: str):
    assert words in refused(settings)


def test_a_wrong_value_in_the_environment_names_the_variable():
    assert refused(ACCODE_PROXY_LIMITS__SESSIONS="many") == (
        "the environment: ACCODE_PROXY_LIMITS__SESSIONS must be a whole number from 1 to 1000000."
    )


def test_no_error_repeats_a_value():
    canary = "correct-horse-battery"
    for settings in (
        {"store": {"url": canary}},
        {"limits": {"sessions": canary}},
        {"logs": {"level": canary}},
        {"listeners": [{"host": canary + " "}]},
        {"store": {"pasword": canary}},
    ):
        assert canary not in refused(settings)
    assert canary not in refused(ACCODE_PROXY_STORE__URL=canary)
    assert canary not in refused(ACCODE_PROXY_STORE__PASSWORD=canary)


def test_the_stores_url_is_not_in_the_repr():
    config = parsed({"store": {"url": "postgresql://u:correct-horse@db/accode"}})
    assert config.store.url == "postgresql+asyncpg://u:correct-horse@db/accode"
    assert "correct-horse" not in repr(config)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3)
    ),
    max_leaves=8,
)
SECTIONS = st.sampled_from(
    ["store", "keys", "audit", "egress", "limits", "logs", "metrics", "control", "listeners"]
)


@given(st.dictionaries(SECTIONS | st.text(max_size=12), JSON, max_size=4))
def test_whatever_toml_holds_is_read_or_refused_with_a_sentence(settings: dict[str, Any]):
    with contextlib.suppress(ConfigError):
        parsed(settings)


# --- files ---------------------------------------------------------------------------


def test_a_file_that_is_not_there_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(ConfigError, match="`accode-proxy init` makes one"):
        load_config(tmp_path / "accode.toml", {})


def test_a_folder_in_its_place_is_one_sentence(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path, {})


def test_broken_toml_says_where_and_repeats_nothing(tmp_path: Path):
    file = tmp_path / "accode.toml"
    file.write_text('[store]\nurl = "postgresql://u:correct-horse@db/x\n')
    with pytest.raises(ConfigError, match=r"is not valid TOML at line 2, column \d+\.") as caught:
        load_config(file, {})
    assert "correct-horse" not in str(caught.value)


def test_bytes_that_are_not_text_are_one_sentence(tmp_path: Path):
    file = tmp_path / "accode.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_config(file, {})


def test_a_huge_file_is_refused_before_it_is_parsed(tmp_path: Path):
    file = tmp_path / "accode.toml"
    file.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="larger than one megabyte"):
        load_config(file, {})


def test_a_file_with_the_stores_password_must_not_be_readable_by_others(tmp_path: Path):
    file = tmp_path / "accode.toml"
    file.write_text('[store]\nurl = "postgresql://u:correct-horse@db/x"\n')
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="others can read it") as caught:
        load_config(file, {})
    assert "correct-horse" not in str(caught.value)
    file.chmod(0o600)
    assert load_config(file, {}).store.url.startswith("postgresql+asyncpg://")


def test_a_folder_with_odd_characters_still_names_the_store(tmp_path: Path):
    folder = tmp_path / "a%20b c?d#e"
    folder.mkdir()
    file = folder / "accode.toml"
    file.write_text("")
    config = load_config(file, {})
    assert store_file(config) == folder / "data/accode.db"
