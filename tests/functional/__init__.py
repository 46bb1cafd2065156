"""The program as a user starts it, over real sockets and real files."""
