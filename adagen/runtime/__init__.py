"""What every room stands on: files, locks, processes, noise, progress, errors."""
