"""What is run from a checkout: set-up, the sample, the manual's pictures."""
