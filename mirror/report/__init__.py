"""Who hears of a run, and in what words."""
