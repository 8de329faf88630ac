"""What a grade looks like: pages, tables and files for other programs, all from report dicts."""
