"""Face crops in, class probabilities out, on one device."""
