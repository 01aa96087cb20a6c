"""What can be chosen about each method: one frozen dataclass a file, free of torch."""
