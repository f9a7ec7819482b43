"""Neural ODEs that classify points and images."""

from grandpp.image.classifier import ODEClassifier
from grandpp.image.point_cloud import (
    POINT_CLOUD_MODELS,
    POINT_CLOUD_SOLVERS,
    PointCloudClassifier,
    describe,
    point_cloud,
)
from grandpp.image.presets import (
    IMAGE_MODELS,
    IMAGE_SHAPES,
    describe_classifier,
    image_classifier,
)

__all__ = [
    "IMAGE_MODELS",
    "IMAGE_SHAPES",
    "POINT_CLOUD_MODELS",
    "POINT_CLOUD_SOLVERS",
    "ODEClassifier",
    "PointCloudClassifier",
    "describe",
    "describe_classifier",
    "image_classifier",
    "point_cloud",
]
