"""A small VLM of every pair, its projector trained with the LLM's own loss."""
