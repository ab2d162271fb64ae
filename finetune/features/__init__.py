"""What the stages of a frozen network make of images: one pass, cached."""
