"""The configuration: its models, checks and documentation, the only source of types, defaults and meanings."""
