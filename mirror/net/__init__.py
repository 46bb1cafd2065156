"""Requests to the API and the CDN, and checks of their answers."""
