"""Image classification: the case that every task gets, and what images alone have."""

import pictures

from tfft.backbones.tiny_image import tiny_image
from tfft.tasks.image_classification import ImageClassification
from tfft.testing import TaskCase


class TestImageClassification(TaskCase):
    def make_task(self):
        return ImageClassification()

    def make_source(self):
        return pictures.source()

    def make_body(self):
        return tiny_image()
