"""One module a job: plain functions without a terminal."""
