"""Its place puts this folder on the path, so that tests can import the models with trouble in them."""
