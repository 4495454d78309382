"""What is made of decisions over time and place: violations, compliance, limits."""
