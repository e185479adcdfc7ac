"""Training policies, searching for static schedules, and checking whether a reward ranks."""
