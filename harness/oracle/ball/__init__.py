"""Certified derivatives: traced functions interpreted in ball arithmetic (Arb), which encloses the truth."""
