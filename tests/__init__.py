"""The tests: of the program as a user runs it, over real sockets and files."""
