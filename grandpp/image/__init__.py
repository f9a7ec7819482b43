"""Neural ODEs that classify points and images; they never touch a graph."""

from grandpp.image.augmentation import random_flip, random_shift
from grandpp.image.classification import ImageClassification, nfe_at_tolerance
from grandpp.image.classifier import ODEClassifier
from grandpp.image.point_cloud import (
    POINT_CLOUD_MODELS,
    POINT_CLOUD_SOLVERS,
    PointCloudClassifier,
    describe,
    point_cloud,
)
from grandpp.image.point_cloud_training import PointCloudRun, train_point_cloud
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
    "ImageClassification",
    "ODEClassifier",
    "PointCloudClassifier",
    "PointCloudRun",
    "describe",
    "describe_classifier",
    "image_classifier",
    "nfe_at_tolerance",
    "point_cloud",
    "random_flip",
    "random_shift",
    "train_point_cloud",
]
