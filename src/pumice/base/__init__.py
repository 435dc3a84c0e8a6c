"""What every room may need: values, configuration, progress, disk, locks, processes."""
