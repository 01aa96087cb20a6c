"""Its place puts this folder on the path, so that tests in folders below can import the builder of models."""
