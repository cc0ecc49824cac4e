"""How fast is it? Sampling, statistics and records kept apart."""
