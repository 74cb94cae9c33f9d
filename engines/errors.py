"""The error tree: one line for the user, exit code 1 (see the picture in `engines/__init__.py`)."""


class EarshotError(Exception):
    """Something the user can act on; the message is one line and names the thing that is wrong."""


class InputError(EarshotError):
    """A video or image that cannot be opened or read."""


class OutputError(EarshotError):
    """A file that cannot be written."""


class ConfigError(EarshotError):
    """An option, a configuration file or a room description that is wrong."""


class AssetError(EarshotError):
    """A room bank or an HRTF that is missing or damaged."""
