"""Faults injected on purpose into a subject's true backward, to see whether the checks of a case would notice them."""
