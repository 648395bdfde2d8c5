"""The same score under other poolings, layers, fits and scalings."""
