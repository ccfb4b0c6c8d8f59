"""One page per case that a referring doctor can read: HTML and PDF from the same content."""
