"""What a person types: one module a command, and the registry that finds it."""
