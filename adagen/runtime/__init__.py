"""Files, locks, processes, noise, progress and errors, which all other packages use."""
