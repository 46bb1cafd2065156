"""The mirror's root: files, manifest, journal, and every durable step."""
