"""Models: named detections over what a device has had to do with a server."""
