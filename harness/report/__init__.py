"""Records → pandas frames → figures, HTML, Markdown and JUnit."""
