"""Files to and from the model: images, masks and case folders."""
