"""Mappings: one YAML file a source, compiled to the statement that makes events of its records."""
