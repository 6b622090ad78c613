"""Folders of detection and segmentation data, as users have them: VOC, SegNet and COCO layouts, and drawn scenes."""
