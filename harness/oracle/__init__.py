"""Independent derivatives, each with an error bar."""
