"""One submission: its answers in the course's own notebook, run by nbval, and its points."""
