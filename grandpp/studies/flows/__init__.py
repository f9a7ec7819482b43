"""Training continuous normalising flows by name: choices, tables and pictures."""
