"""How a run is reported, and in what words."""
