"""The settings file: schema with defaults and reasons, rules of the values, loader."""
