"""Everything about gin: parsing, includes, composition, strict checks, the operative config.

No other folder imports gin. `catalog` lists what a config can name, without imports.
"""
