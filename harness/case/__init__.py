"""YAML → Case: what is under test and at which points."""
