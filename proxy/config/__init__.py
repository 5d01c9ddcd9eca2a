"""The operator's settings: one TOML file and ``ACCODE_PROXY_*`` variables.

``schema``   every setting: its type, default, range and reason
``values``   how one value is read and checked, from TOML or from text
``reading``  the file and the environment together, and what is wrong with them
``durations``  "90s", "24h", "30d" and plain seconds
"""

from proxy.config.durations import parse_duration
from proxy.config.reading import (
    ConfigError,
    config_from_text,
    load_config,
    parse_config,
    read_config,
)
from proxy.config.schema import (
    AdminConfig,
    AuditConfig,
    Config,
    ControlConfig,
    EgressConfig,
    KeysConfig,
    LimitsConfig,
    ListenerConfig,
    LogsConfig,
    MetricsConfig,
    RunnerConfig,
    StoreConfig,
    WorkersConfig,
)

__all__ = [
    "AdminConfig",
    "AuditConfig",
    "Config",
    "ConfigError",
    "ControlConfig",
    "EgressConfig",
    "KeysConfig",
    "LimitsConfig",
    "ListenerConfig",
    "LogsConfig",
    "MetricsConfig",
    "RunnerConfig",
    "StoreConfig",
    "WorkersConfig",
    "config_from_text",
    "load_config",
    "parse_config",
    "parse_duration",
    "read_config",
]
