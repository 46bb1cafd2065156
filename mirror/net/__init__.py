"""What is asked of the API and of the CDN, and what may come back."""
