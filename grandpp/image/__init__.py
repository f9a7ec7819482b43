"""Neural ODEs that classify points and images; they never touch a graph."""

from grandpp.image.point_cloud import (
    POINT_CLOUD_MODELS,
    PointCloudClassifier,
    describe,
    point_cloud,
)
from grandpp.image.point_cloud_training import PointCloudRun, train_point_cloud

__all__ = [
    "POINT_CLOUD_MODELS",
    "PointCloudClassifier",
    "PointCloudRun",
    "describe",
    "point_cloud",
    "train_point_cloud",
]
