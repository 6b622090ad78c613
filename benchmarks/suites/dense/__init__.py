"""Dense prediction (Table 7): detection and segmentation with a frozen, patched backbone, trained by OpenMMLab.

Flow: `scenes` (drawn data) and `data` (what a folder holds) -> `configs` (pieces of the files in `detection/configs`
and `segmentation/configs`) -> `spec` (what a run is) -> `runner` (one run by mmengine's Runner -> rows).
"""
