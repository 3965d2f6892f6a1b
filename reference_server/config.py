"""Every setting of the server, its parts joined: environment variable, flag, default, and what it takes.

The flag of `DS_MIN_STEP_SECONDS` is `--min-step-seconds`, and so on; a flag wins over the environment. A value
that is not understood is refused with its name, the value and what was expected: nothing is guessed.
"""

# Not pydantic-settings: its errors do not tell a flag from a variable, it reads a bare PORT too and takes 2.0 for one,
# and importing it costs each start, and each front of a forked replica, 0.18 s of processor time more.

import socket
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

from reference_server.errors import ConfigError
from reference_server.settings.api import ApiSettings
from reference_server.settings.cache import CacheSettings
from reference_server.settings.device import DeviceSettings
from reference_server.settings.engine import EngineSettings
from reference_server.settings.model import ModelSettings
from reference_server.settings.setting import Setting


@dataclass(frozen=True)
class Settings(DeviceSettings, EngineSettings, CacheSettings, ApiSettings, ModelSettings):
    """How one replica runs. Fields come part by part from right to left: a dataclass begins with its roots."""

    def __post_init__(self) -> None:
        if self.cache_type != "memory":
            raise ConfigError(f"DS_CACHE_TYPE: only memory is available yet, not {self.cache_type!r}")
        if self.step_tokens < self.max_running:
            raise ConfigError(
                f"DS_STEP_TOKENS: at least DS_MAX_RUNNING ({self.max_running}) is expected, "
                f"not {self.step_tokens}"
            )
        if not self.replica_name:
            object.__setattr__(self, "replica_name", socket.gethostname())


DEFAULTS = {field.name: field.default for field in fields(Settings)}
DECLARED: dict[str, Setting] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(Settings, include_extras=True).items()
}
"""Every setting by field name, in reading order."""


def settings_from(flags: Mapping[str, str], environ: Mapping[str, str]) -> Settings:
    """The settings of these flags (by field name) and this environment.

    Raises:
        ConfigError: a value is not understood; the message has its name, the value and what was expected.
    """
    values: dict[str, Any] = {}
    for name, setting in DECLARED.items():
        if name in flags:
            values[name] = setting.parsed(flags[name], setting.flag)
        elif setting.variable in environ:
            values[name] = setting.parsed(environ[setting.variable], setting.variable)
    return Settings(**values)


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and are none: misspelt, or another program's with the same prefix."""
    known = {setting.variable for setting in DECLARED.values()}
    return sorted(name for name in environ if name.startswith("DS_") and name not in known)
