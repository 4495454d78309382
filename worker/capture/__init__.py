"""Camera URLs in, decoded frames out, and only those that deserve a look."""
