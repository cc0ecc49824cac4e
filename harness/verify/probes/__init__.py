"""Ways to exercise a backward that ordinary inputs do not: a module for each family, chosen by effort or by name."""
