"""Training a policy, and the search for static schedules."""
