"""From a scan to a map of the paraspinal muscles."""
