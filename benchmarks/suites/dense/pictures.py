"""Images for mmdet and mmseg, which look for this transform by its name wherever they predict."""

from typing import Any

import cv2  # type: ignore[import-not-found]
from mmcv.transforms import LoadImageFromFile

from delta_core.training.errors import UserError

LOADER = "LoadImageFromFile"
"""The name that inferencers search a test pipeline for; boxes.py and masks.py register `LoadPicture` under it."""


class LoadPicture(LoadImageFromFile):  # type: ignore[misc]
    """mmcv's transform; an image that cannot be read is named."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the image (H, W, 3) uint8 in BGR.

        Raises:
            UserError: if there is no such file or it is damaged.
        """
        try:
            return super().transform(results)  # type: ignore[no-any-return]
        except (OSError, AssertionError, AttributeError, ValueError, cv2.error) as error:
            raise UserError(
                f"Image {results['img_path']!r} cannot be read ({type(error).__name__}); replace it or take it out."
            ) from error
