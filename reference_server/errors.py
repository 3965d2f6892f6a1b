"""What can go wrong before the server serves: shown in one line by the command line, exit code 2."""


class ConfigError(ValueError):
    """A setting, or a file that it names, is not what it should be; the message names both and what was expected."""
