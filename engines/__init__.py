"""Sums: arrays and `t_s` in, arrays out. No clock, no sockets, no tasks, no media containers.

Error tree of the whole project (each message is one line a user can act on):

    EarshotError
    ├── InputError      a video or image that cannot be opened or read
    ├── OutputError     a file that cannot be written
    ├── ConfigError     an option, a config file or a room description that is wrong
    └── AssetError      a room bank or an HRTF that is missing or damaged
"""
