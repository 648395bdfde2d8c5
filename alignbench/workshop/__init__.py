"""How the built-in models are trained and how the suite itself is measured; only a clone has it, no wheel."""
