"""One package per study: its settings, its runs, and its tables and figures."""
