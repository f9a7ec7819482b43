"""Training of point-cloud classifiers."""
