"""One declarative file for each experiment."""
