"""Is the gradient right? Routes to the subject's derivative, held against oracles."""
