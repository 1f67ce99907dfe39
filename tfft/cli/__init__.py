"""The command `tfft`: flags, subcommands, lists."""
