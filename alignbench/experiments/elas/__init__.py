"""ELAS: CKA, and how well a projector carries over to new pairs."""
