"""From a graph and a few labels to a label for every node."""

from grandpp.estimator.classifier import NodeClassifier

__all__ = ["NodeClassifier"]
