"""Label a folder: every picture and clip in it, with every query, into one COCO file."""
