"""What is said about the faces, and how it reaches Redis."""
