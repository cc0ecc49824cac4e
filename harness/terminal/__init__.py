"""What is shown in a terminal: tables, progress and messages. What is found is decided elsewhere."""
