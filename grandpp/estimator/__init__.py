"""Node classification from a few labels, with scikit-learn's conventions."""

from grandpp.estimator.classifier import NodeClassifier

__all__ = ["NodeClassifier"]
