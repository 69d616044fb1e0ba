"""The configuration: a YAML file in, checked values out, problems as sentences with file and line."""
