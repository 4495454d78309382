"""What the consumer is made of: entries of a stream become typed events, each with its answer."""
