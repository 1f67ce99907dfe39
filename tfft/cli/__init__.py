"""The command `tfft`: flags, subcommands, lists, and what it prints of other libraries.

Each subcommand calls a function of `tfft.api`; nothing else belongs here.
"""
