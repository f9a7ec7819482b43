"""Growth of the state of untrained models on the Silverbox signal."""
