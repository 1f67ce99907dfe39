"""Everything about gin: parsing, includes, composition, the operative config, the catalog."""
