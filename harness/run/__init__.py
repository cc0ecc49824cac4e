"""Plan → execute → journal: one pipeline for every way in."""
