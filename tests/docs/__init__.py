"""The documentation: every command in it runs, and what it says of the code is so."""
