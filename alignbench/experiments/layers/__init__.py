"""Every layer of each encoder against every layer of each LLM."""
